#!/bin/sh
# ship.sh: what a library is built from: one layout for all numbers of tokens of a matrix, few kernels.
. "$srcdir/tests/fake.sh"

cd "$dir" || exit 1
fake_device >fake.yaml
cat >config.yaml <<'END'
quern: config
schema: 1
formats: [w4g32]
shapes: [4096x4096, 1024x4096]
tokens: [8, 1, 64]
threads: [1]
acts: [a8g32]
families: [dot, gemm]
isas: [avx2, avx512]
END
"$QUERN" tune -b 60 -d ./fake.yaml -w work -o r.yaml config.yaml >out 2>&1 || fail "tune: exit $?: $(tail -n 3 out)"

# shipped FILE: "M TOKENS KERNEL LAYOUT RATIO" of every entry, as it is shipped.
shipped() {
	awk '
		function finish() { if (m) print m, n, name ? name : kernel, name ? of[name] : layout, name ? ratio[name] : 1 }
		/^- / || /^- *op:/ { finish(); m = name = "" }
		$1 == "m:" { m = $2 }
		$1 ~ /^.?n.?:$/ { n = $2 }
		$1 == "kernel:" { kernel = $2 }
		$1 == "layout:" { layout = $2 }
		$1 == "shipped:" { name = $2 }
		/^ *- *\{kernel: / {
			split($0, words, /[{,:} ]+/)
			for (i in words) {
				if (words[i] == "kernel") one = words[i + 1]
				if (words[i] == "layout") of[one] = words[i + 1]
				if (words[i] == "ratio") ratio[one] = words[i + 1]
			}
		}
		END { finish() }' "$1"
}
shipped r.yaml >shipped
[ "$(wc -l <shipped)" = 6 ] || fail "not 6 cases: $(cat shipped)"
for m in 4096 1024; do
	[ "$(awk -v m=$m '$1 == m { print $4 }' shipped | sort -u | wc -l)" = 1 ] ||
		fail "several layouts for $m rows: $(cat shipped)"
done
# The fewest tokens go first, and finals of more have finalists in the layouts that are good for one.
[ "$(sed -n 's/^w4g32 4096x4096 n\([0-9]*\) .*/\1/p' out | uniq | tr '\n' ' ')" = '1 8 64 ' ] || fail 'tokens out of order'

# The library has what is shipped, and for these cases nothing else.
"$QUERN" gen r.yaml -o c >out 2>&1 || fail "gen: $(cat out)"
awk '{ print "kernel_" $3 ".c" }' shipped | sort -u >wanted
(cd c && ls kernel_*avx*.c) | sort >made
cmp -s wanted made || fail "gen: $(diff wanted made)"

# Weights of the workload decide, at any time and from what was measured; the same wishes give the same file.
again() {
	to=$1
	shift
	"$QUERN" merge -o "$to" "$@" >out 2>&1 || fail "merge: $(cat out)"
}
again one.yaml --decode-share 1 r.yaml
shipped one.yaml | awk '$2 == 1 && $5 != 1 { exit 1 }' || fail 'decode alone: not its winners'
again back.yaml one.yaml
cmp -s back.yaml r.yaml || { again r2.yaml r.yaml; cmp -s back.yaml r2.yaml || fail 'another choice afterwards'; }
again few.yaml --max-kernels 1 r.yaml
n=$(shipped few.yaml | awk '{ print $3 }' | sort -u | wc -l)
[ "$n" -le "$(awk '{ print $3 }' shipped | sort -u | wc -l)" ] || fail 'few: more kernels than before'
"$QUERN" merge --decode-share 2 -o x.yaml r.yaml >out 2>&1
[ $? = 2 ] || fail 'a share of 2'
grep -q "decode-share '2' must be a number from 0 to 1" out || fail "share: $(cat out)"
"$QUERN" tune --objective speed >out 2>&1
[ $? = 2 ] || fail 'an objective of its own'
grep -q "objective 'speed' must be time, energy or edp" out || fail "objective: $(cat out)"

# Results that have everything, but other wishes.
"$QUERN" tune -b 60 --decode-share 1 -d ./fake.yaml -w work -o r.yaml config.yaml >out 2>&1 || fail "kept: exit $?"
grep -q 'nothing was measured' out || fail 'kept: measured again'
exit $failures
