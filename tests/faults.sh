#!/bin/sh
#
# faults.sh: whatever happens to a run of quern tune, the same command goes on to the winners of an undisturbed run.
#
# Compiler and probe pretend (fake_probe.c), with noise.  Runs are killed and stopped at random
# moments, system call by system call (ward.c), probes at random requests; candidates and compilers do
# their worst; disks are full, folders read-only, readers gone.  No process stays, no temporary file, and
# nothing is measured twice but what was cut off.  Needs srcdir, QUERN (the program) and cc.
#
# FAULTS_SEED repeats a run, which a failure names; FAULTS_MOMENTS says how many random moments there are.

set -u

: "${srcdir:?}" "${QUERN:=./quern}"
QUERN=$(realpath "$QUERN") QUERN_HOME=$(realpath "$srcdir")
dir=$(mktemp -d) || exit 1
seed=${FAULTS_SEED:-$(($(date +%s) % 100000))} moments=${FAULTS_MOMENTS:-50}
TMPDIR=$dir/tmp FAKE_NOISE=1
export QUERN_HOME TMPDIR FAKE_NOISE
mkdir "$TMPDIR"
mounted=
clean_up() {
	[ -z "$mounted" ] || umount "$mounted"
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
failures=0

fail() {
	echo "faults.sh: $* (FAULTS_SEED=$seed)"
	failures=1
}

cc="${BUILD_CC:-cc} -std=c11 -D_GNU_SOURCE"
$cc -o "$dir/fake_probe" "$QUERN_HOME/tests/fake_probe.c" && $cc -o "$dir/ward" "$QUERN_HOME/tests/ward.c" || exit 1

# device NAME TIME-OUT COMPILE-TIME-OUT
device() {
	cat >"$dir/$1.yaml" <<-END
		quern: device
		schema: 1
		name: fake
		compiler: ["$dir/fake_probe", cc]
		run: ["$dir/fake_probe", run, "{program}"]
		time_out: $2
		compile_time_out: $3
	END
}
device fake 20 60
device hasty 0.4 0.7
# A space so small that every search tries all of it, whoever is missing.
cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w2g64]
shapes: [64x64, 96x128]
tokens: [1]
threads: [1]
acts: [a8g32]
families: [lut]
isas: [avx2]
END

# ---- runs ----

# tune NAME [WARD-OPTION]... [-- TUNE-OPTION...]: a run in the folder NAME; its output goes to NAME/out.
tune() {
	name=$1
	shift
	mkdir -p "$dir/$name"
	FAKE_LOG=$dir/$name/log FAKE_SEED=$seed.$name
	export FAKE_LOG FAKE_SEED
	set_ward=
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		set_ward="$set_ward $1"
		shift
	done
	[ $# -eq 0 ] || shift
	# shellcheck disable=SC2086
	"$dir/ward" $set_ward "$QUERN" tune -b 100 -d "$dir/${device:-fake}.yaml" -o "$dir/$name/o/r.yaml" "$@" \
		"$dir/config.yaml" >>"$dir/$name/out" 2>&1
	status=$?
	[ $status != 99 ] || fail "$name: $(grep '^ward' "$dir/$name/out" | tail -n 3)"
	return $status
}

last_words() {
	tail -n 3 "$dir/$1/out"
}

says() {
	grep -q "$2" "$dir/$1/out" || fail "$1: does not say '$2' but: $(last_words "$1")"
}

# Per case: format, m, k, kernel, median, the ends of its interval and kernels that are as good.
entries() {
	awk '/^- op/ { if (line) print line, same; line = same = "" }
		/^  (format|m|k|kernel|median_us|ci_low_us|ci_high_us): / { line = line " " $2 }
		/^  equivalent: / { same = $0; sub(/^  equivalent: /, "", same) }
		END { print line, same }' "$dir/$1/o/r.yaml"
}

# The winners are those of the undisturbed run, or as good as these by its own word or interval.
same_winners() {
	grep -q '^complete: true' "$dir/$1/o/r.yaml" 2>/dev/null || {
		fail "$1: the results are not complete: $(last_words "$1")"
		return
	}
	{
		entries calm
		echo =
		entries "$1"
	} | awk '$1 == "=" { now = 1; next }
		!now { kernel[++n] = $4; low[n] = $6; high[n] = $7; same[n] = $0; place[n] = $1 $2 $3; next }
		{
			if ($1 $2 $3 != place[++at])
				exit bad = 1
			if ($4 != kernel[at] && !index(same[at], $4) && ($5 < low[at] / 1.015 || $5 > high[at] * 1.015))
				exit bad = 1
		}
		END { exit bad || at != n }' ||
		fail "$1: other winners than an undisturbed run: $(entries "$1"); undisturbed: $(entries calm)"
}

# Nobody else is to blame for a disturbance, and what is known is not asked again.
undamaged() {
	grep -q '^  failed: \[\]' "$dir/$1/o/r.yaml" || fail "$1: a candidate was blamed"
	asked=$(wc -l <"$dir/$1/log") known=$(grep -c '"question":"time' "$dir/$1/o/r.journal")
	[ "$asked" -le $((known + $2)) ] || fail "$1: asked for $asked times to get $known"
}

# blamed NAME KERNEL WHY: that one alone lost its place, for that.
blamed() {
	found=$(sed -n '/^  - point: /{N;s/\n *reason: / /p;}' "$dir/$1/o/r.yaml")
	[ "$(echo "$found" | wc -l)" = 1 ] && echo "$found" | grep -q "$2 ['\"]*$3" || fail "$1: blames: $found"
}

# Of files there is what an undisturbed run leaves: results, a journal, objects, assembly and their texts.
nothing_left() {
	left=$({
		find "$dir/$1/o" ! -type d | grep -vE '/o/r\.(yaml|journal)$' |
			grep -vE '/\.quern-work/(lock|objects/[0-9a-f]*\.(o|s|bad)|sources/[0-9a-f]*\.c)$' |
			grep -vE '/\.quern-work/(logs/[0-9a-z]*\.log|probes/[0-9a-f]*)$'
		find "$TMPDIR" -mindepth 1
	} | head -n 3)
	[ -z "$left" ] || fail "$1: left behind: $left"
}

# ends NAME N: the same command goes on to the end, and N requests may have been cut off before.
ends() {
	tune "$1" || fail "$1: exit $status: $(last_words "$1")"
	same_winners "$1"
	undamaged "$1" "$2"
	nothing_left "$1"
}

# random N: sets random to a number from 1 to N.
state=$seed
random() {
	state=$(((state * 1103515245 + 12345) % 2147483648))
	random=$((state / 65536 % 32768 * $1 / 32768 + 1))
}

# ---- undisturbed ----

FAKE_COUNT=$dir/count
export FAKE_COUNT
tune calm -n 0 || fail "calm: exit $status: $(last_words calm)"
unset FAKE_COUNT
undamaged calm 0
nothing_left calm
calls=$(sed -n 's/^calls //p' "$dir/calm/out") requests=$(wc -c <"$dir/count")
[ "$(entries calm | wc -l)" = 2 ] && [ "$calls" -gt 1000 ] && [ "$requests" -gt 100 ] ||
	fail "calm: $calls calls, $requests requests, $(entries calm)"
# Kernels of the first batch that no case had in its final.
bystanders=$(sed -n 's/.*"question":"verify \([a-z0-9_]*\)".*/\1/p' "$dir/calm/o/r.journal" | head -n 26 |
	while read -r kernel; do grep -q "$kernel\>" "$dir/calm/o/r.yaml" || echo "$kernel"; done)
victim=$(echo "$bystanders" | tail -n 1)
[ -n "$victim" ] || fail 'calm: everyone is in a final'
[ $failures = 0 ] || exit 1

# ---- random moments: three in ten for kill -9 of the probe, the others for the tuner ----

moment=0
while [ $moment -lt "$moments" ]; do
	moment=$((moment + 1)) name=m$moment
	case $((moment % 10)) in
	1 | 4 | 7)
		random "$requests"
		FAKE_COUNT=$dir/$name-count FAKE_KILL_AT=$random
		export FAKE_COUNT FAKE_KILL_AT
		tune $name
		unset FAKE_COUNT FAKE_KILL_AT
		[ $status = 0 ] || says $name '^quern: .*signal 9 (Killed)' ;;
	*)
		signal=9
		case $((moment % 10)) in
		2) signal=1 ;;
		5) signal=2 ;;
		8) signal=15 ;;
		esac
		random "$calls"
		# The last calls write the results.
		[ $((moment % 10)) != 9 ] || random=$((calls - random * 200 / calls))
		tune $name -n "$random" -k $signal
		case $status in
		0 | 130 | $((128 + signal))) ;;
		*) fail "$name: exit $status after signal $signal: $(last_words $name)" ;;
		esac
		# It may have come before there was anything to stop.
		[ $status != 130 ] || [ ! -s "$dir/$name/out" ] || says $name '^quern: stopped; ' ;;
	esac
	ends $name 1
	[ $failures = 0 ] || {
		fail "moment $moment: request or call $random"
		break
	}
	rm -rf "${dir:?}/$name"
done

# A run that is killed again and again, and stopped, gets there in the end.
for moment in 1 2 3 4 5; do
	random $((calls / 2))
	tune again -n "$random" -k $((moment == 3 ? 2 : 9))
done
ends again 5

# ---- kill -9 of the tuner leaves no compilers, not even those behind a driver ----

FAKE_CC=hang FAKE_BAD=$victim
export FAKE_CC FAKE_BAD
tune orphans -s 0.7
[ $status = 137 ] || fail "orphans: exit $status, not killed"
unset FAKE_CC FAKE_BAD
ends orphans 1

# ---- compilers that misbehave; their candidates alone lose their place ----

device=hasty
for how in crash hang talk flood truncate empty; do
	FAKE_CC=$how FAKE_BAD=$victim
	export FAKE_CC FAKE_BAD
	tune cc-$how || fail "cc-$how: exit $status: $(last_words cc-$how)"
	same_winners cc-$how
	nothing_left cc-$how
	case $how in
	crash) why='signal 11 (Segmentation fault)' ;;
	hang) why=time-out ;;
	talk) why='exit status 1: this is line 0' ;;
	flood) why='\(time-out\|signal 25 \)' ;;
	*) why='the compiler reports success but wrote no whole object' ;;
	esac
	blamed cc-$how "$victim" "compile $why"
	[ -z "$(find "$dir/cc-$how" -size +2048k)" ] || fail "cc-$how: $(find "$dir/cc-$how" -size +2048k -ls)"
	rm -rf "${dir:?}/cc-$how"
done
unset FAKE_CC FAKE_BAD

# ---- candidates that misbehave, likewise ----

FAKE_VICTIM=$victim
export FAKE_VICTIM
for what in time:crash time:segv time:bus time:ill time:fpe time:kill time:term time:exit prepare:segv \
	time:hang verify:wrong verify:segv time:flood time:long time:log time:garbage time:zero time:lie; do
	FAKE_VERB=${what%:*} FAKE_DO=${what#*:}
	name=do-${FAKE_VERB}-$FAKE_DO
	export FAKE_VERB FAKE_DO
	tune $name || fail "$name: exit $status: $(last_words $name)"
	same_winners $name
	nothing_left $name
	case $FAKE_DO in
	hang) why='hang no answer' ;;
	log) why='\(hang no answer\|crash .*signal 25\)' ;;
	wrong) why='wrong y\[3\]' ;;
	flood | long | garbage | zero | lie) why=garbage ;;
	*) why='crash the probe died' ;;
	esac
	blamed $name "$FAKE_VICTIM" "$why"
	rm -rf "${dir:?}/$name"
done
unset FAKE_VICTIM FAKE_VERB FAKE_DO
device=

# ---- full disks ----

# limited NAME BLOCKS: a run whose files may not be longer than so many half kilobytes.
limited() {
	(ulimit -f "$2" && tune "$1")
	status=$?
	[ $status = 1 ] || fail "$1: exit $status with $2 blocks for a file: $(last_words "$1")"
	says "$1" '^quern: .*\(File too large\|signal 25\|No space left\)'
}
# All is built, nothing measured: the journal grows too long.  All is measured: no results.
for what in objects journal results; do
	[ $what = objects ] || { mkdir "$dir/$what" && cp -R "$dir/calm/o" "$dir/calm/log" "$dir/$what"; }
	case $what in
	objects) limited objects 32 ;;
	journal)
		rm "$dir/journal/o/r.journal" "$dir/journal/o/r.yaml"
		: >"$dir/journal/log"
		limited journal 40 ;;
	results)
		rm "$dir/results/o/r.yaml"
		limited results 4 ;;
	esac
	[ ! -e "$dir/$what/o/r.yaml" ] || fail "$what: there are results"
	[ -z "$(find "$dir/$what" -name '*.tmp')" ] || fail "$what: a temporary file is left"
	ends $what 1
done

# Disks of their own, which grow when the run has failed: of all that is written, then of the results alone.
for name in disk shelf; do
	mkdir -p "$dir/$name/o"
	[ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=300k none "$dir/$name/o" 2>/dev/null || continue
	mounted=$dir/$name/o
	work=$dir/$name/o/.quern-work
	[ $name = disk ] || work=$dir/calm/o/.quern-work
	[ $name = disk ] || mount -o remount,size=24k "$mounted"
	for size in 600k 1200k 16m; do
		tune $name -- -w "$work" && break
		says $name '^quern: .*\(No space left\|has only .* MB left\)'
		mount -o remount,size=$size "$mounted"
	done
	[ "$size" != 600k ] || fail "$name: there is room enough"
	tune $name -- -w "$work" || fail "$name: exit $status: $(last_words $name)"
	same_winners $name
	undamaged $name 3
	nothing_left $name
	umount "$mounted"
	mounted=
done

# The probe's log cannot be written, which is no reason to stop.
mkdir -p "$dir/deaf/o/.quern-work/logs"
ln -s /dev/full "$dir/deaf/o/.quern-work/logs/probe.log"
ends deaf 0

# ---- folders that cannot be written ----

mkdir -p "$dir/shut/o"
if [ "$(id -u)" -ne 0 ]; then
	chmod a-w "$dir/shut/o"
elif mount -t tmpfs -o ro none "$dir/shut/o" 2>/dev/null; then
	mounted=$dir/shut/o
fi
if ! touch "$dir/shut/o/x" 2>/dev/null; then
	for work in "$dir/shut/o/.quern-work" "$dir/calm/o/.quern-work"; do
		tune shut -- -w "$work" && fail 'shut: writes to a folder that is read-only'
		[ $status = 1 ] || fail "shut: exit $status: $(last_words shut)"
		says shut "^quern: cannot .*/shut/o/.*\(Read-only\|Permission denied\)"
	done
	[ -z "$mounted" ] || umount "$mounted"
	mounted=
	chmod u+w "$dir/shut/o"
	ends shut 0
fi

# ---- nobody reads what is printed ----

tune calm && "$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$dir/calm/o/r.yaml" "$dir/config.yaml" \
	>/dev/full 2>"$dir/errors" && fail 'full: the table is lost and nobody told'
grep -q '^quern: .*is written, but not its table .*No space left' "$dir/errors" || fail "full: says: $(cat "$dir/errors")"

# events NAME: as tune, with events of the run in NAME/events; the reader ends after 20 of them.
mkdir "$dir/pipe"
FAKE_LOG=$dir/pipe/log FAKE_SEED=$seed.pipe
{
	"$QUERN" tune --json -b 100 -d "$dir/fake.yaml" -o "$dir/pipe/o/r.yaml" "$dir/config.yaml" 2>"$dir/pipe/out"
	echo $? >"$dir/pipe/status"
} | head -n 20 >"$dir/pipe/events"
[ "$(cat "$dir/pipe/status")" = 130 ] || fail "pipe: exit $(cat "$dir/pipe/status"), not as for Ctrl-C: $(last_words pipe)"
says pipe '^quern: stopped: cannot write events to standard output: Broken pipe; nothing measured is lost'
[ -e "$dir/pipe/o/r.yaml" ] && fail 'pipe: there are results'
ends pipe 1

"$QUERN" tune --json --fresh -b 100 -d "$dir/fake.yaml" -o "$dir/pipe/o/r.yaml" "$dir/config.yaml" >"$dir/events" 2>/dev/null ||
	fail "json: exit $?"
grep -vq '^{"event":"[a-z]*",.*}$' "$dir/events" && fail "json: a line is no event: $(grep -v '^{"event"' "$dir/events")"
for event in note start compile race pruned case progress end; do
	grep -q "^{\"event\":\"$event\"" "$dir/events" || fail "json: no event '$event'"
done
tail -n 1 "$dir/events" | grep -q '"event":"end","status":"done","exit":0,' || fail "json: ends: $(tail -n 1 "$dir/events")"
[ "$(grep -c '"event":"case"' "$dir/events")" = 2 ] || fail 'json: not two cases'
"$QUERN" tune --json -b 100 -d "$dir/fake.yaml" -o "$dir/pipe/o/r.yaml" "$dir/config.yaml" >"$dir/events" 2>/dev/null ||
	fail "json: exit $? when nothing is to be measured"
[ "$(grep -c '"event":"case"' "$dir/events")" = 2 ] || fail 'json: not two cases when nothing is to be measured'
"$QUERN" tune --json -d /no/device.yaml >"$dir/events" 2>/dev/null && fail 'json: succeeds without a device'
grep -q '^{"event":"end","status":"failed","exit":1,.*"error":"/no/device.yaml: ' "$dir/events" ||
	fail "json: of a failure it says: $(cat "$dir/events")"

exit $failures
