#!/bin/sh
#
# tune.sh: runs of quern tune that are killed, interrupted and disturbed, with a probe that pretends.
#
# Whatever happens, the winners are those of an undisturbed run, nothing that was measured is
# measured again, and nothing is left behind.  Needs srcdir, QUERN (the program) and cc.

set -u

. "${srcdir:?}/tests/fake.sh"

fake_device 'time_out: 0.5' >"$dir/fake.yaml"
sed "\$a clang: [[/no/clang], [\"$dir/fake\", clang]]" "$dir/fake.yaml" >"$dir/two.yaml"
sed "\$a clang: [/no/clang]" "$dir/fake.yaml" >"$dir/gone.yaml"
cat >"$dir/config.yaml" <<EOF
quern: config
schema: 1
formats: [w4g32, w1g128]
shapes: [64x64, 96x128]
tokens: [1]
threads: [1, all]
acts: [a8g32]
families: [dot, lut]
isas: native
EOF

# tune NAME [OPTION]...: a run of its own in the folder NAME; its output goes to NAME/out.
tune() {
	name=$1
	shift
	mkdir -p "$dir/$name"
	exec "$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$dir/$name/r.yaml" "$@" \
		"$dir/config.yaml" >>"$dir/$name/out" 2>&1
}

winners() {
	sed -n 's/^  *\(kernel\|format\|m\|k\|threads\): / /p' "$dir/$1/r.yaml"
}

same_winners() {
	[ "$(winners "$1")" = "$(winners calm)" ] || fail "$1: other winners than an undisturbed run"
	grep -q '^complete: true' "$dir/$1/r.yaml" || fail "$1: the results are not complete"
}

# Answers to requests for times are at most so many fewer than the requests that were made.
asked_once() {
	asked=$(wc -l <"$dir/$1/log")
	known=$(grep -c '"question":"time' "$dir/$1/r.journal")
	[ "$asked" -le $((known + $2)) ] || fail "$1: asked for $asked times to get $known"
}

nothing_left() {
	left=$(find "$dir/$1" -name '*.tmp*' -o -path '*/.quern-work/tmp/*' | head -n 3)
	[ -z "$left" ] || fail "$1: left behind: $left"
	sleep 0.1
	for process in /proc/[0-9]*; do
		if tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -q "^$dir/fake"; then
			fail "$1: process ${process#/proc/} is still there"
		fi
	done
}

# ---- undisturbed ----

(tune calm) || fail "calm: exit $?: $(tail -n 3 "$dir/calm/out")"
nothing_left calm
[ "$(grep -c '^  kernel: ' "$dir/calm/r.yaml")" = 8 ] || fail "calm: not 8 winners"
[ $failures = 0 ] || exit 1

# Once more: everything is known, from the results as well as from the journal alone.
: >"$dir/calm/log"
(FAKE_LOG=$dir/calm/log; export FAKE_LOG; tune calm) || fail "calm: the second run fails"
[ ! -s "$dir/calm/log" ] || fail "calm: measured again"
grep -q '^8 cases of .* are kept' "$dir/calm/out" || fail 'calm: does not say that results are kept'
mv "$dir/calm/r.yaml" "$dir/calm/first.yaml"
(FAKE_LOG=$dir/calm/log; export FAKE_LOG; tune calm) || fail "calm: the third run fails"
[ ! -s "$dir/calm/log" ] || fail "calm: measured again what the journal has"
for file in first r; do
	sed '/^  seconds: /d' "$dir/calm/$file.yaml" >"$dir/calm/$file.timeless"
done
cmp -s "$dir/calm/first.timeless" "$dir/calm/r.timeless" || fail 'calm: the journal gives other results'
cp "$dir/calm/r.yaml" "$dir/calm/before.yaml"

# ---- lossy kernels ----

# lossy NAME ERROR: a run that allows that much; the probe says 1e-5 of everything.
lossy() {
	mkdir -p "$dir/$1"
	sed "\$a max_nmse: $2" "$dir/config.yaml" >"$dir/$1/c.yaml"
	"$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$dir/$1/r.yaml" "$dir/$1/c.yaml" \
		>"$dir/$1/out" 2>&1 || fail "$1: exit $?: $(tail -n 3 "$dir/$1/out")"
	n_lossy=$(grep -c '^  point:.* ADDS: ' "$dir/$1/r.yaml")
	n_all=$(grep -c '^  kernel: ' "$dir/$1/r.yaml")
}
lossy rough 1e-4
[ "$n_lossy" -gt 0 ] || fail 'rough: no lossy kernel is named'
[ "$((n_all - n_lossy))" = 8 ] || fail "rough: $n_all winners, $n_lossy of them lossy, not 8 exact ones"
"$QUERN" gen "$dir/rough/r.yaml" -o "$dir/rough/out-c" || fail "rough: its results cannot be generated"
lossy fine 1e-6
[ "$n_lossy $n_all" = '0 8' ] || fail "fine: $n_lossy of $n_all winners err more than is allowed"

# ---- two compilers ----

# Random candidates are the default's, leaders meet clang; what wins with it is generated so.
(tune both -d "$dir/two.yaml") || fail "both: exit $?: $(tail -n 3 "$dir/both/out")"
grep -q '^  clang_version: fake clang 1.0' "$dir/both/r.yaml" || fail 'both: clang is not recorded'
grep '"question":"batch w4g32 a8g32 n1 0"' "$dir/both/r.journal" | grep -q COMPILER &&
	fail 'both: random candidates are compiled with clang'
grep '"question":"batch w4g32 a8g32 n1 1"' "$dir/both/r.journal" | grep -q 'COMPILER=clang' ||
	fail 'both: no neighbour is compiled with clang'
grep -q 'made by clang' "$dir"/both/.quern-work/objects/*.o || fail 'both: clang was not used'
grep -q 'COMPILER: clang' "$dir/both/r.yaml" || fail 'both: nothing wins with clang'
"$QUERN" gen "$dir/both/r.yaml" -o "$dir/both/c" || fail 'both: the winners cannot be generated'
grep -q '^KERNEL_CC_kernel_.*yc = $(CLANG)$' "$dir/both/c/kernels.mk" || fail 'both: kernels.mk lacks clang'
nothing_left both

# Without that clang the same command starts anew, and says so.
(tune both -d "$dir/gone.yaml") || fail "gone: exit $?: $(tail -n 3 "$dir/both/out")"
grep -q "^no kernel is tried with clang: cannot run '/no/clang'" "$dir/both/out" || fail 'gone: not said'
grep -q 'another clang' "$dir/both/out" || fail 'gone: takes up a journal of other compilers'
grep -q 'clang' "$dir/both/r.yaml" && fail 'gone: clang is recorded'
nothing_left both

# ---- kill -9 of the tuner, again and again ----

mkdir "$dir/killed"
FAKE_LOG=$dir/killed/log FAKE_DELAY_US=1500
export FAKE_LOG FAKE_DELAY_US
for pause in 0.3 0.5 0.6 0.7 0.8; do
	(tune killed) &
	sleep $pause
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
done
[ ! -e "$dir/killed/r.yaml" ] || fail 'killed: it ended before it was killed'
# A torn line is what a crash of the machine would leave.
printf '{"at":9,"question":"time w4' >>"$dir/killed/r.journal"
(tune killed) || fail "killed: exit $?: $(tail -n 3 "$dir/killed/out")"
same_winners killed
asked_once killed 5
nothing_left killed

# ---- Ctrl-C ----

mkdir "$dir/stopped"
FAKE_LOG=$dir/stopped/log
for pause in 0.4 1.2; do
	(tune stopped) &
	sleep $pause
	kill -INT $!
	wait $!
	status=$?
	[ $status = 130 ] || fail "stopped: exit $status, not 130"
	grep -q 'the same command goes on' "$dir/stopped/out" || fail "stopped: does not say how to go on"
	if [ -e "$dir/stopped/r.yaml" ]; then
		grep -q '^complete: false' "$dir/stopped/r.yaml" || fail "stopped: claims to be complete"
	fi
	nothing_left stopped
done
(tune stopped) || fail "stopped: exit $?: $(tail -n 3 "$dir/stopped/out")"
same_winners stopped
asked_once stopped 0
nothing_left stopped
(tune stopped --fresh) &
sleep 2
kill -INT $!
wait $!
same_winners stopped

# ---- kill -9 of the probe ----

mkdir "$dir/probe"
FAKE_LOG=$dir/probe/log FAKE_PID=$dir/probe/pid
export FAKE_PID
(tune probe) &
tuner=$!
for pause in 0.4 0.3 0.3; do
	while [ ! -s "$FAKE_PID" ]; do
		sleep 0.05
	done
	sleep $pause
	kill -9 "$(cat "$FAKE_PID")" 2>/dev/null
done
wait $tuner || fail "probe: exit $?: $(tail -n 3 "$dir/probe/out")"
unset FAKE_PID
same_winners probe
asked_once probe 3
grep -q '^  failed: \[\]' "$dir/probe/r.yaml" || fail "probe: a candidate was blamed for a kill"
nothing_left probe
unset FAKE_LOG FAKE_DELAY_US

# ---- candidates that misbehave ----

FAKE_FAULTS=1 FAKE_BAD=_r4k2
export FAKE_FAULTS FAKE_BAD
(tune faults) || fail "faults: exit $?: $(tail -n 3 "$dir/faults/out")"
unset FAKE_FAULTS FAKE_BAD
grep -q '^complete: true' "$dir/faults/r.yaml" || fail "faults: not complete"
for reason in compile crash hang garbage; do
	grep -q "reason: .*$reason" "$dir/faults/r.yaml" || fail "faults: no failure is a '$reason'"
done
nothing_left faults

# ---- words that cannot be used ----

# A value that is wrong whatever the disk holds is exit 2, a file that is not there or wrong exit 1.
mkdir "$dir/words"
refuse() {
	status=$1 says=$2
	shift 2
	"$QUERN" tune -d "$dir/fake.yaml" -o "$dir/words/r.yaml" "$@" >"$dir/words/out" 2>"$dir/words/errors"
	got=$?
	[ $got = "$status" ] || fail "words: exit $got, not $status, for $*"
	[ ! -s "$dir/words/out" ] || fail "words: prints for $*: $(cat "$dir/words/out")"
	grep '^quern: ' "$dir/words/errors" | grep -qF -- "$says" || fail "words: $*: says: $(cat "$dir/words/errors")"
}
while read -r option rest; do
	says=${rest%%|*}
	for value in ${rest#*|}; do
		refuse 2 "$says" "$option" "$value" "$dir/config.yaml"
	done
done <<'EOF'
--budget must be quick, normal, thorough or seconds from 1| fast 0 -3 1e9 10s nan inf 0x10 +5
-b must be quick, normal, thorough or seconds from 1| -1
--seed must be a whole number from 0 to 2^62| x -1 1.5 99999999999999999999
--threads must be a number from 1 to 256, or all| 0 -1 1,,2 two 99999999999 1.5 1;2
-t number of threads '1' is named twice| 1,1
--sustained must be seconds, 0 to 86400| -1 1e3 99999999 long
--formats unknown format| w9g32 w4g32, W4G32 w4g32;w8g32
-f format 'w4g32' is named twice| w4g32,w4g32
--shapes must be MxK| 64 64x 0x64 64x-3 64x64x64 99999999999x64 64x64,
--cores must have a name| ,
--jobs must be 1 to 64| 0 x 65 -1 1.5
--device there is no device| nothing Local
--at says nothing| here -x
--output must be a file, not a folder| / . /no/folder/
--work must be a folder, not a file| /dev/null
--estimate there is no model of a core| core-i7 Cortex-A76
--compiler must be gcc, clang or both| icc GCC
--max-candidates must be a number from 1| 0 -1 x 1e3 9999999
EOF
for option in --budget --seed --threads --sustained --formats --shapes --cores --jobs --device --at --output --work \
	--model --seed-from --estimate --compiler --max-candidates; do
	refuse 2 "option '$option' needs a value" "$option"
	refuse 2 "option '$option' needs a value" "$option" ''
	refuse 2 "option '$option=' needs a value" "$option="
done
refuse 2 "option '--fresh=yes' must have no value" --fresh=yes
refuse 2 "option '--json=1' must have no value" --json=1
refuse 2 "unknown option '--nothing'" --nothing
refuse 2 "unknown option '-x'" -x
refuse 2 'one config file at most' a.yaml b.yaml
refuse 2 '--model and --shapes exclude each other' -m x.gguf -s 64x64
refuse 2 '--compiler is for estimates' --compiler gcc
refuse 2 '--max-candidates is for estimates' --max-candidates 5
refuse 2 '--threads and --estimate exclude each other' -e cortex-a76 -t 1
for option in '--at here' '--cores all' '--sustained 0' --json; do
	# shellcheck disable=SC2086
	refuse 2 "${option% *} and --estimate exclude each other" -e cortex-a76 $option
done
[ -z "$(ls "$dir/words/.quern-work/objects" 2>/dev/null)" ] || fail 'words: worked all the same'
refuse 1 '/no/config.yaml: ' /no/config.yaml
refuse 1 '/no/model.gguf: ' -m /no/model.gguf
refuse 1 'not a GGUF file' -m "$dir/fake.yaml"
refuse 1 '/no/such.yaml: ' --seed-from /no/such.yaml "$dir/config.yaml"
refuse 1 'is not a results file' --seed-from "$dir/fake.yaml" "$dir/config.yaml"
refuse 1 '/no/device.yaml: ' -d /no/device.yaml "$dir/config.yaml"
refuse 1 'is not a device file' -d "$dir/config.yaml" "$dir/config.yaml"
refuse 1 'is not a config file' "$dir/fake.yaml"
refuse 2 "the device has no cores 'nothere'" --cores nothere "$dir/config.yaml"
(tune cores -t 1,3 -f w4g32 -s 64x64) || fail "cores: exit $?"
grep -q '^3 threads are left out: the device has 2 cores' "$dir/cores/out" || fail 'cores: not said'
grep -q 'threads: 3' "$dir/cores/r.yaml" && fail 'cores: measured with 3 threads on 2 cores'

# ---- winners of another file go first ----

cp "$dir/calm/r.yaml" "$dir/seeds.yaml"
(tune seeds --seed 5 --seed-from "$dir/seeds.yaml") || fail "seeds: exit $?: $(tail -n 3 "$dir/seeds/out")"
grep -q 'seeds.yaml are raced first' "$dir/seeds/out" || fail 'seeds: not said'
(tune seeds --seed-from "$dir/absent.yaml") && fail 'seeds: takes a file that is not there'
winner=$(sed -n 's/^  kernel: //p' "$dir/seeds.yaml" | head -n 1)
grep -q "time .*$winner" "$dir/seeds/r.journal" || fail "seeds: $winner is not raced"

# ---- duels ----

refuse 2 '--strategy duel needs --seed-from FILE' --strategy duel "$dir/config.yaml"
(tune duel --strategy duel --seed-from "$dir/seeds.yaml" --seed-from "$dir/both/r.yaml" -f w4g32) ||
	fail "duel: exit $?: $(tail -n 3 "$dir/duel/out")"
[ "$(grep -c '^  samples: 51$' "$dir/duel/r.yaml")" = 4 ] || fail 'duel: not 51 rounds of 4 cases'
winner=$(grep -A8 '^  format: w4g32' "$dir/seeds.yaml" | sed -n 's/^  kernel: //p' | head -n 1)
grep -q "^  $winner  *[0-9.]*x the default's speed ([0-9.]* to [0-9.]*)" "$dir/duel/out" || fail "duel: lacks $winner"
grep -q '^duels of [0-9]*: 0 slower than the default, ' "$dir/duel/out" || fail "duel: $(tail -n 2 "$dir/duel/out")"
for name in $(sed -n 's/.*"time w4g32 64x64 n1 t1 \([^ ]*\) final .*/\1/p' "$dir/duel/r.journal" | sort -u); do
	grep -q "kernel: $name$" "$dir/seeds.yaml" "$dir/both/r.yaml" || fail "duel: $name has won nothing"
done

# ---- finals that cannot tell the default from its twin ----

(FAKE_NOISE=60; export FAKE_NOISE; tune loud -f w4g32 -s 64x64 -t 1) || fail "loud: exit $?: $(tail -n 3 "$dir/loud/out")"
grep -q '"question":"rest before sitting 2 of final 64x64 n1 t1"' "$dir/loud/r.journal" || fail 'loud: one sitting'
grep -q ' twin sitting2 0"' "$dir/loud/r.journal" || fail 'loud: no twin in the second sitting'
grep -q ' sitting5 ' "$dir/loud/r.journal" && fail 'loud: more than four sittings'
grep -q 'sitting' "$dir/calm/r.journal" && fail 'calm: more than one sitting'
mv "$dir/loud/r.yaml" "$dir/loud/first.yaml"
: >"$dir/loud/log"
(FAKE_LOG=$dir/loud/log; export FAKE_LOG; tune loud -f w4g32 -s 64x64 -t 1) || fail "loud: exit $? when everything is known"
[ ! -s "$dir/loud/log" ] || fail 'loud: measured again'
[ "$(grep -v '^  seconds: ' "$dir/loud/first.yaml")" = "$(grep -v '^  seconds: ' "$dir/loud/r.yaml")" ] ||
	fail 'loud: the journal gives other results'

# ---- files that cannot be used ----

(tune other --seed 2 -f w4g32 -s 64x64) || fail "other: exit $?"
(tune other --seed 3 -f w4g32 -s 64x64) || fail "other: exit $?"
grep -q 'another seed' "$dir/other/out" || fail "other: the old journal is not told of"
[ -e "$dir/other/r.journal.1" ] || fail "other: the old journal is gone"
rm "$dir/other/r.yaml"	# or it would answer
sed -i '5s/.*/{"at":1,"question":oops}/' "$dir/other/r.journal"
(tune other --seed 3 -f w4g32 -s 64x64) && fail "other: takes a damaged journal"
grep -q 'r.journal:5: ' "$dir/other/out" || fail "other: does not name the damaged line"
(tune other --seed 3 -f w4g32 -s 64x64 --fresh) || fail "other: --fresh fails"
echo 'what: is this' >"$dir/other/r.yaml"
(tune other --seed 3) && fail "other: overwrites a file that is no results file"
grep -q 'r.yaml:1: ' "$dir/other/out" || fail "other: does not name the file"

exit $failures
