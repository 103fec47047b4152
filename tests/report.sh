#!/bin/sh
#
# report.sh: quern report, as text and as a page that a real browser draws and tries out.
#
# The page tests itself when its address ends in #selftest: it draws every chart with every choice, sorts
# and filters the table and opens each kernel, in dark and in light colours, and says in data-selftest how
# that went.  Needs srcdir, QUERN (the program), cc, Chart.js and for the page a headless Chromium.

set -u

. "${srcdir:?}/tests/fake.sh"

# has FILE PATTERN
has() {
	grep -Eq -e "$2" "$1" || fail "${1##*/} has no '$2'"
}

# refuses STATUS PATTERN ARGUMENT...: that exit status, one sentence that matches, nothing written.
refuses() {
	want=$1 pattern=$2
	shift 2
	"$QUERN" report "$@" >"$dir/out" 2>"$dir/err"
	[ $? = "$want" ] || fail "'report $*' does not exit with $want"
	grep -Eq -e "$pattern" "$dir/err" && [ "$(wc -l <"$dir/err")" = 1 ] ||
		fail "'report $*' does not say '$pattern' but '$(cat "$dir/err")'"
	[ ! -s "$dir/out" ] || fail "'report $*' prints though it fails"
	[ -z "$(find "$dir" -name '*.html*' -newer "$dir/err")" ] || fail "'report $*' leaves a page behind"
}

# ---- a run with a journal ----

fake_device 'time_out: 5' >"$dir/fake.yaml"
cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w4g32, w2g64]
shapes: [64x64, 4096x4096]
tokens: [1]
threads: [1]
acts: [a8g32]
families: [dot, lut]
isas: native
END
mkdir "$dir/run"
"$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$dir/run/r.yaml" "$dir/config.yaml" >"$dir/run/out" 2>&1 || {
	fail "no run to report on: $(tail -n 3 "$dir/run/out")"
	exit 1
}
measured=$QUERN_HOME/results/amd-epyc.yaml estimated=$QUERN_HOME/results/cortex-a76.yaml

# ---- text ----

"$QUERN" report "$measured" "$estimated" "$dir/run/r.yaml" >"$dir/text" 2>"$dir/err" || fail "text: $(cat "$dir/err")"
[ ! -s "$dir/err" ] || fail "text: $(cat "$dir/err")"
has "$dir/text" '^w4g32 +4096x4096 +1 +1 +298\.5 +1\.11x +dot_w4g32_a8g32_avx512_r6g2k2p8192n1ua$'
has "$dir/text" '^w8g32 +4096x4096 +1 +1 +39\.3 .* memory +92 % #+\.+$'
has "$dir/text" '^ESTIMATED by llvm-mca 19\.1\.7'
has "$dir/text" '^families: no case has finalists'
has "$dir/text" '^w[24]g[0-9]+ +[0-9x]+ +1 +1  (dot|lut) 1\.00x  (dot|lut) [1-9]\.[0-9]{2}x'
[ "$(awk 'length > 100' "$dir/text" | grep -cv '^counters\|^[gc]c \|^/')" = 0 ] || fail 'text: lines above 100 columns'
grep -q 'nan\|inf ' "$dir/text" && fail 'text: numbers that are none'
# An estimate is never printed as a time.
sed -n '/^ESTIMATED/,/^$/p; /^estimates/,$p' "$dir/text" | sed '/run\/r.yaml/,$d' | grep -q ' us\|GB/s' &&
	fail 'text: estimates are shown as measurements'

# ---- what is refused ----

refuses 2 'name a results file'
refuses 2 "unknown option '--nothing'" --nothing x
refuses 2 "option '-o' needs a value" -o
refuses 1 'absent.yaml' "$dir/absent.yaml"
refuses 1 'nothing was measured or estimated' -o "$dir/x.html" "$QUERN_HOME/results/default.yaml"
sed 's/^  median_us: .*/  median_us: fast/' "$measured" >"$dir/bad.yaml"
refuses 1 "bad.yaml:[0-9]+: 'median_us' must be a number" -o "$dir/x.html" "$measured" "$dir/bad.yaml"
head -c 3000 "$measured" >"$dir/torn.yaml"
refuses 1 'torn.yaml:[0-9]+: ' -o "$dir/x.html" "$dir/torn.yaml"
cp "$dir/run/r.yaml" "$dir/damaged.yaml"
sed '5s/"question"/"quest/' "$dir/run/r.journal" >"$dir/damaged.journal"
refuses 1 'damaged.journal:5: the journal is damaged here' -o "$dir/x.html" "$dir/damaged.yaml"
refuses 1 'cannot read the chart library .*install libjs-chart.js' -o "$dir/x.html" --chart-js "$dir/none.js" "$measured"
echo 'var Chart;' >"$dir/other.js"
refuses 1 'is not Chart.js 3' -o "$dir/x.html" --chart-js "$dir/other.js" "$measured"
refuses 1 'cannot write .*no/x.html' -o "$dir/no/x.html" "$measured"

# A run that is at it: the last line is torn.
head -c -20 "$dir/run/r.journal" >"$dir/damaged.journal"
"$QUERN" report "$dir/damaged.yaml" >"$dir/out" 2>&1 || fail "a torn last line: $(cat "$dir/out")"

# ---- the page ----

[ $failures = 0 ] || exit 1
[ -r /usr/share/javascript/chart.js/chart.min.js ] || {
	echo 'no Chart.js (libjs-chart.js), so no page was made'
	exit 77
}
# What a hostile results file would try.
sed 's|^  cpu: .*|  cpu: "</script><script>document.title=1</script><!-- <b>"|' "$dir/run/r.yaml" >"$dir/hostile.yaml"
cp "$dir/run/r.journal" "$dir/hostile.journal"
"$QUERN" report -o "$dir/all.html" "$measured" "$estimated" "$dir/hostile.yaml" >"$dir/out" 2>&1 ||
	fail "page: exit $?: $(cat "$dir/out")"
[ ! -s "$dir/out" ] || fail "page: prints $(head -n 1 "$dir/out")"
"$QUERN" report -o "$dir/again.html" "$measured" "$estimated" "$dir/hostile.yaml"
cmp -s "$dir/all.html" "$dir/again.html" || fail 'page: the same files give another page'
"$QUERN" report -o "$dir/one.html" "$estimated" || fail 'page: of estimates only'
"$QUERN" report --text -o "$dir/two.html" "$measured" "$dir/run/r.yaml" | grep -q '^winners' || fail 'page: no text beside it'
has "$dir/all.html" 'Chart.js v3'
has "$dir/all.html" 'Released under the MIT License'
grep -Eio '<[a-z]+ [^<>]*(src|href|action|data)="?[^"#> ]*:[^>]*|[^a-z]url\([^)]*|@import[^;]*|[^a-z_](fetch|XMLHttpRequest|WebSocket|sendBeacon|importScripts)\(' \
	"$dir/all.html" | grep -v '^<link rel="icon" href="data:,"$' >"$dir/found"
[ ! -s "$dir/found" ] || fail "page: it loads something: $(head -n 1 "$dir/found")"
[ "$(grep -c '</script>' "$dir/all.html")" = "$(grep -c '</script>' "$dir/one.html")" ] ||
	fail 'page: data end a script'

for browser in chromium-headless-shell chromium google-chrome; do
	command -v $browser >/dev/null && break
	browser=
done
[ $failures = 0 ] || exit 1
[ -n "$browser" ] || {
	echo 'no chromium-headless-shell, so the pages were made but not drawn'
	exit 77
}

# selftest FILE WIDTH [OPTION]...: what the page says of itself.
selftest() {
	page=$1 width=$2
	shift 2
	timeout 120 $browser --headless --no-sandbox --disable-gpu --user-data-dir="$dir/browser" \
		--host-resolver-rules='MAP * ~NOTFOUND' --window-size="$width,800" "$@" \
		--dump-dom "file://$dir/$page#selftest" 2>"$dir/browser.err" >"$dir/dom"
	grep -o 'data-selftest="[^"]*"' "$dir/dom" || echo "nothing: $(tail -n 1 "$dir/browser.err")"
}

n_rows=$(grep -c '^  kernel: ' "$measured" "$estimated" "$dir/run/r.yaml" | awk -F: '{ n += $NF } END { print n }')
for width in 1280 360; do
	said=$(selftest all.html $width)
	[ "$said" = "data-selftest=\"ok: 8 charts, $n_rows rows\"" ] || fail "page: $width wide: $said"
done
grep -q '<title>quern report' "$dir/dom" || fail 'page: data are run as a script'
said=$(selftest one.html 360 --blink-settings=preferredColorScheme=0)
echo "$said" | grep -q 'ok: 1 charts' || fail "page: of estimates only: $said"
said=$(selftest two.html 800)
echo "$said" | grep -q 'ok: 7 charts' || fail "page: of two devices: $said"

# What goes wrong is told.
sed 's/"devices":/"devises":/' "$dir/one.html" >"$dir/broken.html"
said=$(selftest broken.html 800)
echo "$said" | grep -q 'data-selftest="error: ' || fail "page: a broken one says '$said'"
sed 's/^function draw_bits(chosen) {/&\n\tthrow new Error("on purpose");/' "$dir/two.html" >"$dir/broken.html"
said=$(selftest broken.html 800)
echo "$said" | grep -q 'error: .*on purpose' || fail "page: one with a wrong chart says '$said'"
sed 's/^function sort_rows(list) {/&\n\treturn list;/' "$dir/two.html" >"$dir/broken.html"
said=$(selftest broken.html 800)
echo "$said" | grep -q 'error: .*wrong order' || fail "page: one that does not sort says '$said'"

exit $failures
