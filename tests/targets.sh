#!/bin/sh
#
# targets.sh: runs of quern tune on devices that pretend to have several kinds of cores, to heat up,
# and to get slow under load.
#
# Winners have to be those of a device that stays cool, each kind of core has its own, and a run that
# is taken up asks for nothing twice.  Needs srcdir, QUERN (the program) and cc.

set -u

. "${srcdir:?}/tests/fake.sh"

fake_device 'time_out: 5' >"$dir/fake.yaml"
sed "\$a thermal_gate: true" "$dir/fake.yaml" >"$dir/hot.yaml"
sed "\$a pin: true" "$dir/fake.yaml" >"$dir/pin.yaml"
cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w4g32]
shapes: [64x64, 96x128]
tokens: [1]
threads: [1, all]
acts: [a8g32]
families: [dot]
isas: native
END
QUERN_COOL_SECONDS=0.05
export QUERN_COOL_SECONDS

# tune NAME [OPTION]...: a run of its own in the folder NAME; its output goes to NAME/out.
tune() {
	name=$1
	shift
	mkdir -p "$dir/$name"
	"$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$dir/$name/r.yaml" -w "$dir/work" "$@" \
		"$dir/config.yaml" >>"$dir/$name/out" 2>&1
}

tuned() {
	tune "$@" || fail "$1: exit $?: $(tail -n 3 "$dir/$1/out")"
	grep -q '^complete: true' "$dir/$1/r.yaml" || fail "$1: the results are not complete"
}

has() {
	grep -q -- "$2" "$dir/$1" || fail "$1: has no '$2'"
}

lacks() {
	! grep -q -- "$2" "$dir/$1" || fail "$1: has '$2'"
}

# Everything that is measured of an entry.
values() {
	sed -n 's/^  *\(kernel\|m\|k\|threads\|core\|median_us\|flagged\): / /p' "$dir/$1/r.yaml"
}

# A second run measures nothing.
known() {
	name=$1
	shift
	cp "$dir/$name/r.yaml" "$dir/$name/first.yaml"
	lines=$(wc -l <"$dir/$name/r.journal")
	tuned "$name" "$@"
	[ "$lines" = "$(wc -l <"$dir/$name/r.journal")" ] ||
		fail "$name: asks again: $(sed "1,${lines}d" "$dir/$name/r.journal" | head -n 2)"
	sed '/^  seconds: /d' "$dir/$name/first.yaml" >"$dir/$name/before"
	sed '/^  seconds: /d' "$dir/$name/r.yaml" | cmp -s - "$dir/$name/before" ||
		fail "$name: other results when everything is known"
}

# cores NUMBER NAME KIND CPUS KHZ: what hello says of a class.
cores() {
	echo "name$1=$2 core$1=$3 part$1=$3 cpus$1=$4 max_khz$1=$5 capacity$1=1024"
}
big=$(cores 0 cortex-x3 0x41d4e 7 3000000)
little=$(cores 1 cortex-a510 0x41d46 0-2,4 2000000)

# ---- cores that are alike ----

tuned calm
lacks calm/r.yaml ' core: \|core_name'
lacks calm/r.journal '@'
[ "$(grep -c '^  kernel: ' "$dir/calm/r.yaml")" = 4 ] || fail 'calm: not 4 winners'
(tune calm --cores big)
[ $? = 2 ] || fail 'calm: takes cores that are not there'
has calm/out "^quern: --cores: the device has no cores 'big': must be all, fastest; it does not tell"
FAKE_CORES="cores=1 classes=1 $big"
export FAKE_CORES
tuned alike --cores cortex-x3
lacks alike/r.yaml 'core: \|core_name'
tuned pinned -d "$dir/pin.yaml"
[ "$(grep -c '^  core: 0x41d4e' "$dir/pinned/r.yaml")" = 2 ] || fail 'pinned: not 2 winners of a kind'

# ---- two classes ----

FAKE_CORES="cores=5 classes=2 $big $little"
tuned two
has two/out '^cortex-a510 (4 at 2000 MHz): threads 1, 4$'
for core in '41d4e 1 2' '41d46 1 2' '41d46 4 2'; do
	# shellcheck disable=SC2086
	set -- $core
	n=$(grep -B 1 "^  core: 0x$1\$" "$dir/two/r.yaml" | grep -c "threads: $2\$")
	[ "$n" = "$3" ] || fail "two: $n entries for $2 threads on 0x$1, not $3"
done
lacks two/r.yaml 'threads: 5'
has two/r.journal '"question":"time w4g32 64x64 n1 t4@cortex-a510 '
has two/r.journal '"question":"batch w4g32 a8g32 n1 0 @cortex-x3"'
has two/r.yaml '  core_name: cortex-a510'
has two/out '^roof, 4 threads on cortex-a510: '
has two/out '^w4g32 .*  cortex-x3 '
[ "$(grep -c 'threads: .* core: 0x.* dram_gbps: ' "$dir/two/r.yaml")" = 3 ] || fail 'two: not 3 ceilings'
known two
# What the library chooses is by kind of core.
"$QUERN" gen "$dir/two/r.yaml" -o "$dir/two/c" || fail 'two: its results cannot be generated'
for core in 0x41d4e 0x41d46; do
	grep -q "^	{ .*, $core },\$" "$dir/two/c/kernels.c" || fail "two: nothing is chosen for $core"
done

# One class at a time: what was measured on the first is known to the run with both.
tuned parts --cores fastest
lacks parts/r.journal 'cortex-a510'
n=$(grep -c '"question":"time' "$dir/parts/r.journal")
tuned parts --cores cortex-a510,cortex-x3
[ "$(values parts)" = "$(values two)" ] || fail 'parts: other winners than at once'
m=$(grep -c '"question":"time .*@cortex-x3' "$dir/parts/r.journal")
[ "$n" = "$m" ] || fail "parts: $m times on the first class, $n before"
tune parts --cores cortex-x3,a75
[ $? = 2 ] || fail 'parts: takes cores that are not there'
has parts/out "^quern: --cores: .* 'a75': must be all, fastest or one of cortex-x3, cortex-a510$"
sed "\$a cores: [cortex-a510]" "$dir/config.yaml" >"$dir/little.yaml"
"$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$dir/little.r.yaml" -w "$dir/work" "$dir/little.yaml" \
	>"$dir/little.out" 2>&1 || fail "little: $(tail -n 3 "$dir/little.out")"
lacks little.r.yaml 0x41d4e

# Interrupted anywhere, the same winners.
mkdir "$dir/stopped"
"$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$dir/stopped/r.yaml" -w "$dir/work" \
	"$dir/config.yaml" >"$dir/stopped/out" 2>&1 &
while ! grep -qs '@cortex-a510' "$dir/stopped/r.journal"; do
	kill -0 $! 2>/dev/null || break
	sleep 0.02
done
kill -INT $! 2>/dev/null
wait $!
tuned stopped
[ "$(values stopped)" = "$(values two)" ] || fail 'stopped: other winners'

# A class that is gone when the second probe starts.
cat >"$dir/gone.sh" <<END
[ ! -e "$dir/gone" ] || FAKE_CORES="cores=4 classes=1 $(cores 0 cortex-a510 0x41d46 0-2,4 2000000)"
: >"$dir/gone"
exec "$dir/fake" run "\$1"
END
sed "s|^run: .*|run: [sh, '$dir/gone.sh', '{program}']|" "$dir/fake.yaml" >"$dir/second.yaml"
tune second -d "$dir/second.yaml" && fail 'second: measures on cores that are gone'
has second/out '^quern: the probe .*: there are no longer 1 cortex-x3 at 3000 MHz; once they are back, the same command goes on'
tuned second
[ "$(values second)" = "$(values two)" ] || fail 'second: other winners'

# Classes that are of one kind, and a kind that nobody knows.
FAKE_CORES="cores=5 classes=2 $big $(cores 1 cortex-x3 0x41d4e 0-3 2000000)"
tuned like
has like/out '^1 thread on cortex-x3 at 2000 MHz: left out, for faster cores of that kind have as many'
[ "$(grep -c 'core: 0x41d4e' "$dir/like/r.yaml")" -ge 4 ] || fail 'like: winners are missing'
# A PC's favoured cores are like the others, unless they are asked for.
FAKE_CORES="cores=5 classes=2 $(cores 0 0xa0670 0xa0670 7 5100000) $(cores 1 0xa0670 0xa0670 0-3 4900000)"
tuned pc
lacks pc/r.yaml ' core: \|core_name'
[ "$(grep -c '^  threads: 5$' "$dir/pc/r.yaml")" = 2 ] || fail 'pc: not 2 winners for all its cores'
tuned favoured --cores fastest
[ "$(grep -c '^  core: 0xa0670$' "$dir/favoured/r.yaml")" = 2 ] || fail 'favoured: not 2 winners'
FAKE_CORES="cores=5 classes=2 $(cores 0 unknown 0x0 7 0) $(cores 1 unknown 0x0 0-3 0)"
tuned unknown
lacks unknown/r.yaml '^  core: '
has unknown/r.yaml 'core_name: unknown'
FAKE_CORES="cores=5 classes=2 $(cores 0 unknown 0x0 7-x 0)"
tune wrong && fail 'wrong: takes a list of cpus that is none'
has wrong/out "^quern: what the probe says of cores of class 0 makes no sense"
unset FAKE_CORES

# ---- heat ----

# A probe that has no canary is measured all the same.
tuned old -d "$dir/hot.yaml"
has old/out '^the probe on fake has no canary (.*unknown request'
[ "$(grep -c 'has no canary' "$dir/old/out")" = 1 ] || fail 'old: said more than once'
lacks old/r.yaml thermal

# hot NAME VARIABLE...: a run on a device that gets hot.
hot() {
	name=$1
	shift
	mkdir -p "$dir/$name"
	FAKE_STATE=$dir/$name/state
	export FAKE_STATE
	env "$@" "$QUERN" tune -b "${budget-100}" -d "$dir/hot.yaml" -o "$dir/$name/r.yaml" -w "$dir/work" \
		"$dir/${config-config}.yaml" >>"$dir/$name/out" 2>&1 ||
		fail "$name: exit $?: $(tail -n 3 "$dir/$name/out")"
}
hot cool FAKE_HOT_AFTER=1000000
has cool/r.yaml '^  thermal: {cool_downs: 0, seconds: 0, baselines: 0}'
[ "$(values cool)" = "$(values calm)" ] || fail 'cool: other values than without a gate'
has cool/r.journal '"question":"baseline t1 1","answer":"ns=50000000"'

# In the middle of everything, and it cools down: no sample of a hot device is left.
hot warm FAKE_HOT_AFTER=200 FAKE_COOL=2
has warm/out '^fake is hot or busy: 1.50 times its best time on t[12]; cooling down'
has warm/r.yaml '^  thermal: {cool_downs: [1-6], seconds: .*, baselines: 0}'
has warm/r.journal 'hot1'
[ "$(values warm)" = "$(values calm)" ] || fail 'warm: a hot sample was kept'
cp "$dir/warm/r.yaml" "$dir/warm/first.yaml"
hot warm FAKE_HOT_AFTER=0
cmp -s "$dir/warm/r.yaml" "$dir/warm/first.yaml" ||
	[ "$(values warm)" = "$(values calm)" ] || fail 'warm: asks again when everything is known'
grep '  thermal:' "$dir/warm/first.yaml" >"$dir/a"
grep '  thermal:' "$dir/warm/r.yaml" | cmp -s - "$dir/a" || fail 'warm: forgets what the gate did'

# It never cools down: that is the new normal, from then on.
hot never FAKE_HOT_AFTER=200
has never/out '^fake does not cool down: from now on 1.50 times its best time counts as normal on t'
has never/r.yaml '^  thermal: {cool_downs: \(6\|12\), seconds: .*, baselines: [12]}'
grep -q '^complete: true' "$dir/never/r.yaml" || fail 'never: not complete'

# It cools down and is hot again at once, without end: pauses have one.
budget=1
hot again QUERN_COOL_SECONDS=0.02 FAKE_HOT_AFTER=100 FAKE_COOL=2 FAKE_AGAIN=1000000
unset budget
has again/out '^fake gets hot again and again: from now on that does not count$'
has again/r.yaml '^  thermal: {cool_downs: .*, seconds: [1-9].*, baselines: 0}'

# Hot each time that a round of the final is tried: it is kept, with a flag.
sed 's/, 96x128//; s/, all//' "$dir/config.yaml" >"$dir/short.yaml"
config=short
hot short FAKE_HOT_AFTER=1000000
n=$(($(cut -d ' ' -f 1 "$dir/short/state") - 20))
hot flagged FAKE_HOT_AFTER=$n FAKE_COOL=2 FAKE_AGAIN=2
unset config
grep -q '"question":"time .* final hot2 ' "$dir/flagged/r.journal" || fail 'flagged: not tried twice more'
has flagged/r.yaml '^  thermal: {cool_downs: [3-9]'
has short/r.yaml '^  flagged: 0'
has flagged/r.yaml '^  flagged: [1-9]'

# Ctrl-C is heard while it cools down.
mkdir "$dir/break"
FAKE_STATE=$dir/break/state QUERN_COOL_SECONDS=1000 FAKE_HOT_AFTER=100 \
	"$QUERN" tune -b 100 -d "$dir/hot.yaml" -o "$dir/break/r.yaml" -w "$dir/work" \
	"$dir/config.yaml" >"$dir/break/out" 2>&1 &
until grep -qs 'cooling down' "$dir/break/out"; do
	kill -0 $! 2>/dev/null || break
	sleep 0.02
done
kill -INT $!
wait $!
status=$?
[ $status = 130 ] || fail "break: exit $status, not 130"
hot break FAKE_HOT_AFTER=1000000
[ "$(values break)" = "$(values calm)" ] || fail 'break: other winners after a stop'

# ---- load ----

# load NAME VARIABLE... -- OPTION...: a run on two kinds of cores with races under load.
load() {
	name=$1 variables=
	shift
	while [ "$1" != -- ]; do
		variables="$variables $1"
		shift
	done
	shift
	mkdir -p "$dir/$name"
	FAKE_STATE=$dir/$name/state FAKE_CORES="cores=5 classes=2 $big $little"
	export FAKE_STATE FAKE_CORES
	# shellcheck disable=SC2086
	env $variables "$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$dir/$name/r.yaml" -w "$dir/work" \
		"$@" "$dir/config.yaml" >>"$dir/$name/out" 2>&1
}
load burst A=1 -- || fail "burst: exit $?"
load load FAKE_ENERGY=7 -- --sustained 12 || fail "load: exit $?: $(tail -n 3 "$dir/load/out")"
has load/r.yaml '^  sustained: 12$'
[ "$(grep -c '^  sustained_us: ' "$dir/load/r.yaml")" = 6 ] || fail 'load: not 6 times under load'
[ "$(grep -c '^  energy_uj: 7$' "$dir/load/r.yaml")" = 6 ] || fail 'load: not 6 energies'
[ "$(grep -c '^  energy_source: fake$' "$dir/load/r.yaml")" = 6 ] || fail 'load: not 6 sources'
n=$(grep -c '^  burst_kernel: ' "$dir/load/r.yaml")
[ "$n" -gt 0 ] || fail 'load: no other winner under load'
[ "$n" = "$(grep -c 'is faster than .* and takes its place' "$dir/load/out")" ] || fail 'load: not said'
# Each is what it was without load, or says what that was.
sed -n 's/^  kernel: //p' "$dir/burst/r.yaml" >"$dir/a"
awk '$1 == "kernel:" { if (name) print name; name = $2 } $1 == "burst_kernel:" { name = $2 }
	END { print name }' "$dir/load/r.yaml" | cmp -s - "$dir/a" || fail 'load: other winners before the load'
grep -A 30 '^  kernel: ' "$dir/load/r.yaml" | awk '$1 == "kernel:" { k = $2 } $1 == "burst_kernel:" && $2 == k { exit 1 }' ||
	fail 'load: a winner takes its own place'
"$QUERN" gen "$dir/load/r.yaml" -o "$dir/load/c" || fail 'load: its results cannot be generated'
cp "$dir/load/r.yaml" "$dir/load/first.yaml"
lines=$(wc -l <"$dir/load/r.journal")
load load FAKE_ENERGY=8 -- --sustained 12 || fail "load: exit $? when everything is known"
[ "$lines" = "$(wc -l <"$dir/load/r.journal")" ] || fail 'load: asks again'
[ "$(grep -v '^  seconds: ' "$dir/load/first.yaml")" = "$(grep -v '^  seconds: ' "$dir/load/r.yaml")" ] ||
	fail 'load: other results when everything is known'
# Energy as the objective: what takes half of it is shipped where it was in the final, winners stay winners.
load thrift FAKE_ENERGY=8 FAKE_THRIFTY=r2 -- --sustained 12 --objective energy ||
	fail "thrift: exit $?: $(tail -n 3 "$dir/thrift/out")"
awk '$1 == "kernel:" { name = $2; n++ } $1 == "shipped:" { m++; if ($2 !~ /r2/ || name ~ /r2/) exit 1 }
	END { if (!n || !m) exit 1 }' "$dir/thrift/r.yaml" || fail 'thrift: others are shipped'
grep -q 'shipped: .*r2.*x the time, 0.500x the energy$' "$dir/thrift/out" || fail 'thrift: not told'
grep -q 'energy_uj: 4' "$dir/thrift/r.yaml" || fail 'thrift: no energy of a finalist'
"$QUERN" merge -o "$dir/thrift/time.yaml" "$dir/thrift/r.yaml" >"$dir/out" || fail 'thrift: merge'
lacks thrift/time.yaml '^  shipped: .*r2'
"$QUERN" merge --objective energy -o "$dir/thrift/again.yaml" "$dir/thrift/time.yaml" >"$dir/out" || fail 'thrift: merge'
"$QUERN" merge --objective energy -o "$dir/thrift/as.yaml" "$dir/thrift/r.yaml" >"$dir/out" || fail 'thrift: merge'
cmp -s "$dir/thrift/again.yaml" "$dir/thrift/as.yaml" || fail 'thrift: another choice after a merge'
load blind A=1 -- --sustained 12 --objective edp
[ $? = 2 ] || fail 'blind: not refused'
has blind/out 'objective edp: fake has no sensor of energy that can be read'
load idle FAKE_ENERGY=8 -- --sustained 0 --objective energy
[ $? = 2 ] || fail 'idle: not refused'
has idle/out 'energy is measured under load, which --sustained SECONDS asks for'
load load FAKE_ENERGY=7 -- --sustained 13 || fail "load: exit $? for another load"
has load/r.yaml '^  sustained: 13$'
[ "$(grep -c ' sustained 12 s 4"' "$dir/load/r.journal")" = "$(grep -c ' sustained 13 s 4"' "$dir/load/r.journal")" ] ||
	fail 'load: samples of 12 seconds count for 13'

# Half of it is known: the rest comes to the same end.
mkdir "$dir/half"
at=$(grep -n 'sustained 12 s 4"' "$dir/load/r.journal" | sed -n '2s/:.*//p')
head -n "$at" "$dir/load/r.journal" >"$dir/half/r.journal"
load half FAKE_ENERGY=7 -- --sustained 12 || fail "half: exit $?: $(tail -n 3 "$dir/half/out")"
has half/out '^taking up '
[ "$(grep -v '^  seconds: ' "$dir/load/first.yaml")" = "$(grep -v '^  seconds: ' "$dir/half/r.yaml")" ] ||
	fail 'half: other results than at once'

# Cores that cannot stand it: the others are raced all the same.
load limp FAKE_LIMP=cortex-x3 -- --sustained 12 || fail "limp: exit $?: $(tail -n 3 "$dir/limp/out")"
has limp/out '^t1@cortex-x3 cannot be put under load: crash signal 11$'
has limp/r.yaml '^  sustained: 12$'
[ "$(grep -c '^  sustained_us: ' "$dir/limp/r.yaml")" = 4 ] || fail 'limp: not 4 times under load'

# A winner that fails under load is none.
winner=$(awk '$1 == "kernel:" { k = $2 } $1 == "default_kernel:" && $2 != k { print k; exit }' "$dir/burst/r.yaml")
load weary FAKE_WEARY="$winner" -- --sustained 12 || fail "weary: exit $?: $(tail -n 3 "$dir/weary/out")"
has weary/out ": under load $winner fails and .* takes its place$"
has weary/r.yaml "^  burst_kernel: $winner$"
lacks weary/r.yaml "^  kernel: $winner$"

# No meter: nothing is said of energy.
load unmetered A=1 -- --sustained 1 || fail "unmetered: exit $?"
lacks unmetered/r.yaml energy
has unmetered/r.yaml '^  sustained_us: '
unset FAKE_STATE FAKE_CORES
tuned old --sustained 2
has old/out ' cannot be put under load: .*unknown request'
lacks old/r.yaml sustained
tune words --sustained 1h
[ $? = 2 ] || fail 'words: takes --sustained 1h'

exit $failures
