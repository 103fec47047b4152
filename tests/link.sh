#!/bin/sh
#
# link.sh: runs of quern tune over ssh in which the link is cut, the device dies or its disk is full.
#
# The sshd is a real one, on loopback; compiler and probe pretend (fake_probe.c), but for the part of
# the probe that serves a link.  Whatever happens, the winners are those of an undisturbed run here,
# nothing is measured twice for a link that was cut, the same command goes on, and nothing is left
# on the device but its work folder.  Needs srcdir, QUERN (the program), cc and openssh.

set -u

: "${srcdir:?}" "${QUERN:=./quern}"
QUERN=$(realpath "$QUERN") QUERN_HOME=$(realpath "$srcdir")
export QUERN_HOME
# shellcheck source=tests/sshd.sh
. "$QUERN_HOME/tests/sshd.sh"
sshd_find
dir=$(mktemp -d) || exit 1
sshd_pid= mounted=
clean_up() {
	sshd_stop
	[ -z "$mounted" ] || umount "$mounted"
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
failures=0

fail() {
	echo "link.sh: $*"
	failures=1
}

${BUILD_CC:-cc} -std=c11 -D_GNU_SOURCE -DFAKE_REMOTE -iquote "$QUERN_HOME" -iquote "$QUERN_HOME/runtime" \
	-o "$dir/fake" "$QUERN_HOME/tests/fake_probe.c" "$QUERN_HOME/tuner/serve.c" \
	"$QUERN_HOME/tuner/attach.c" "$QUERN_HOME/runtime/error.c" || exit 1
sshd_make

# device NAME [SED-SCRIPT]: the file that ships, with another compiler and probe.
device() {
	sed -e "s|^name: .*|name: $1|; s|^compiler: .*|compiler: [\"$dir/fake\", cc]|; /^clang: /d" \
		-e "s|^run: \\[ssh,|run: [ssh, -F, \"$ssh_config\",|; s|^copy: \\[scp,|copy: [scp, -F, \"$ssh_config\",|" \
		-e "s|^work: .*|work: $dir/$1/device|" \
		"$QUERN_HOME/tuner/devices/ssh-aarch64.yaml" >"$dir/$1.yaml"
	cat >>"$dir/$1.yaml" <<-END
		start: ["$dir/fake", remote]
		time_out: 5
		connect_time_out: 30
		environment: {FAKE_LOG: $dir/$1/log, FAKE_DELAY_US: "2000"}
	END
	[ $# -lt 2 ] || sed -i "$2" "$dir/$1.yaml"
	mkdir -p "$dir/$1"
	: >"$dir/$1/log"
}

# near NAME: likewise, but a shell is the link, which is faster where the link is not what is tested.
near() {
	device "$1" 's|^run: .*|run: [sh, -c, "{command}", "{at}"]|; s|^copy: .*|copy: [cp, "{file}", "{path}"]|'
}

cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w4g32]
shapes: [64x64]
tokens: [1]
threads: [1]
acts: [a8g32]
families: [dot]
isas: [avx2]
END

# tune NAME [OPTION]...: a run of its own in the folder NAME; its output goes to NAME/out.
tune() {
	name=$1
	shift
	exec "$QUERN" tune -b 100 -d "$dir/$name.yaml" --at phone -o "$dir/$name/r.yaml" -w "$dir/objects" "$@" \
		"$dir/config.yaml" >>"$dir/$name/out" 2>&1
}

last_words() {
	tail -n 3 "$dir/$1/out"
}

winners() {
	sed -n 's/^  *\(kernel\|format\|m\|k\|threads\): / /p' "$dir/$1/r.yaml"
}

same_winners() {
	[ "$(winners "$1")" = "$(winners calm)" ] || fail "$1: other winners than an undisturbed run"
	grep -q '^complete: true' "$dir/$1/r.yaml" || fail "$1: the results are not complete"
	grep -q '^  failed: \[\]' "$dir/$1/r.yaml" || fail "$1: a candidate was blamed"
}

n_known() {
	grep -c '"question":"time' "$dir/$1/r.journal" 2>/dev/null
}

# Requests for times that were run are at most so many more than the answers that are known.
asked_once() {
	asked=$(wc -l <"$dir/$1/log")
	known=$(n_known "$1")
	[ "$asked" -le $((known + $2)) ] || fail "$1: ran $asked requests for $known times"
}

# Waits until so many times are known, while the process lives.
wait_known() {
	while known=$(n_known "$1"); [ "${known:-0}" -lt "$2" ]; do
		kill -0 "$3" 2>/dev/null || {
			fail "$1: ended before $2 times were known: $(last_words "$1")"
			return 1
		}
		sleep 0.05
	done
}

nothing_left() {
	left=$(find "$dir/$1/device" -mindepth 1 2>/dev/null | head -n 3)
	[ -z "$left" ] || fail "$1: left on the device: $left"
	no_process "$1"
}

# Servers whose folder was removed take a second to see it.
no_process() {
	for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		found=$(grep -l "^$dir/fake" /proc/[0-9]*/cmdline 2>/dev/null) || return 0
		sleep 0.2
	done
	fail "$1: processes are still there: $found"
}

# keeper NAME: its server's process.
keeper() {
	sed 's/.* pid=//' "$dir/$1"/device/run-*/serve-*/server 2>/dev/null
}

# ---- undisturbed: a device without a link, then with one ----

device calm '/^copy: /d; /^work: /d; /^start: /d; /^connect_time_out: /d'
sed -i "s|^run: .*|run: [\"$dir/fake\", run, \"{program}\"]|" "$dir/calm.yaml"
("$QUERN" tune -b 100 -d "$dir/calm.yaml" -o "$dir/calm/r.yaml" "$dir/config.yaml" >"$dir/calm/out" 2>&1) ||
	fail "calm: exit $?: $(last_words calm)"
[ "$(grep -c '^  kernel: ' "$dir/calm/r.yaml")" = 1 ] || fail 'calm: not one winner'
asked_once calm 0
[ $failures = 0 ] || exit 1

device far
(tune far) || fail "far: exit $?: $(last_words far)"
same_winners far
asked_once far 0
nothing_left far
[ $failures = 0 ] || exit 1

# ---- the link is cut, again and again ----

device cut
(tune cut) &
tuner=$!
for n in 10 250 500; do
	wait_known cut $n $tuner && sshd_cut
done
wait $tuner || fail "cut: exit $?: $(last_words cut)"
[ "$(grep -c '^no link to cut: ' "$dir/cut/out")" -ge 2 ] || fail "cut: says too little: $(cat "$dir/cut/out")"
same_winners cut
asked_once cut 0
nothing_left cut

# ---- there is no link for longer than it is tried; then the same command goes on ----

device gone '$a retries: 1'
(tune gone) &
tuner=$!
wait_known gone 30 $tuner && sshd_stop && sshd_cut
wait $tuner && fail 'gone: succeeds without a link'
grep -q '^quern: there is no link to gone: .*once there is, the same command goes on' "$dir/gone/out" ||
	fail "gone: says: $(last_words gone)"
grep -q '^complete: false' "$dir/gone/r.yaml" 2>/dev/null && fail 'gone: a result without a finished case'
sshd_start || fail 'sshd does not start again'
(tune gone) || fail "gone: exit $?: $(last_words gone)"
same_winners gone
asked_once gone 1
nothing_left gone

# ---- the device dies: its server is killed, also with a boot_id that changes ----

# kill_server NAME LOSSES BOOT_ID TUNER: whatever server there is, until so many losses are told: one that was about to end
# is no loss, and the next begins only after a loss is told.
kill_server() {
	while [ "$(grep -c "^$1 was lost" "$dir/$1/out")" -lt "$2" ] && kill -0 "$4" 2>/dev/null; do
		[ -z "$3" ] || sed -i "s/boot_id=[^ ]*/boot_id=$3/" "$dir/$1"/device/run-*/serve-*/server 2>/dev/null
		for pid in $(keeper "$1"); do
			kill -9 "$pid" 2>/dev/null
		done
		sleep 0.05
	done
}

device dies
(tune dies) &
tuner=$!
for n in 20 60; do
	wait_known dies $n $tuner || break
	kill_server dies $((n / 40 + 1)) "$([ $n = 20 ] || echo another)" $tuner
done
wait $tuner || fail "dies: exit $?: $(last_words dies)"
grep -q '^dies was lost: the server was killed; ' "$dir/dies/out" || fail 'dies: the kill is not told of'
grep -q '^dies was lost: the device was started anew (boot_id); ' "$dir/dies/out" ||
	fail "dies: the new boot_id is not told of: $(cat "$dir/dies/out")"
same_winners dies
asked_once dies 2
nothing_left dies

# A device that dies whenever it is asked ends the run; what was measured is kept.
near dying
sed -i 's|^environment: .*|environment: {FAKE_DO: kill server}|' "$dir/dying.yaml"
(tune dying) && fail 'dying: succeeds'
grep -q "^quern: dying was lost 4 times at 'time .*': the server was killed; " "$dir/dying/out" ||
	fail "dying: says: $(last_words dying)"
nothing_left dying
sed -i "s|^environment: .*|environment: {FAKE_LOG: $dir/dying/log}|" "$dir/dying.yaml"
(tune dying) || fail "dying: exit $?: $(last_words dying)"
same_winners dying
asked_once dying 0

# ---- its probe dies; the tuner is killed; Ctrl-C ----

near probe
sed -i "s|^environment: {|&FAKE_PID: $dir/probe/pid, |" "$dir/probe.yaml"
(tune probe) &
tuner=$!
wait_known probe 30 $tuner && kill -9 "$(cat "$dir/probe/pid")"
wait $tuner || fail "probe: exit $?: $(last_words probe)"
same_winners probe
asked_once probe 1
nothing_left probe

near killed
(tune killed) &
tuner=$!
wait_known killed 30 $tuner && kill -9 $tuner
wait $tuner 2>/dev/null
[ -d "$(echo "$dir"/killed/device/run-*)" ] || fail 'killed: there is nothing to find again'
(tune killed) &
tuner=$!
wait_known killed 60 $tuner && kill -INT $tuner
wait $tuner
status=$?
[ $status = 130 ] || fail "killed: exit $status, not 130, after Ctrl-C: $(last_words killed)"
nothing_left killed
(tune killed) || fail "killed: exit $?: $(last_words killed)"
same_winners killed
asked_once killed 1
nothing_left killed

# ---- candidates that misbehave lose only their own place ----

near faults
sed -i 's|^environment: {|&FAKE_FAULTS: "1", |; s|^time_out: .*|time_out: 0.5|' "$dir/faults.yaml"
(tune faults) || fail "faults: exit $?: $(last_words faults)"
grep -q '^complete: true' "$dir/faults/r.yaml" || fail 'faults: not complete'
for reason in crash hang garbage; do
	grep -q "reason: .*$reason" "$dir/faults/r.yaml" || fail "faults: no failure is a '$reason'"
done
grep -q 'was lost\|no link' "$dir/faults/out" && fail "faults: the device is blamed: $(cat "$dir/faults/out")"
nothing_left faults

# ---- there is a link, but no tool to copy with ----

device scp 's|^run: .*|run: [sh, -c, "{command}", "{at}"]|; s|^copy: .*|copy: [/no/scp, "{file}", "{path}"]|'
echo 'retries: 1' >>"$dir/scp.yaml"
(tune scp) && fail 'scp: succeeds without a copy'
grep -q '^quern: there is no copy of the probe on scp: .*/no/scp' "$dir/scp/out" || fail "scp: says: $(last_words scp)"

# ---- its folder is another user's ----

near foreign
mkdir -p "$dir/foreign/device"
if [ "$(id -u)" -eq 0 ] && chown nobody "$dir/foreign/device"; then
	(tune foreign) && fail "foreign: runs in another user's folder"
	grep -q "^quern: .*/device is another user's; remove it" "$dir/foreign/out" ||
		fail "foreign: says: $(last_words foreign)"
fi

# ---- its disk is full ----

# No room for the journal: a server that may not write longer files.
near journal
cat >"$dir/limited" <<END
#!/bin/sh
[ "\$2" = attach ] || ulimit -f "\$(cat "$dir/limit")"
exec "$dir/fake" remote "\$@"
END
chmod +x "$dir/limited"
sed -i "s|^start: .*|start: [\"$dir/limited\"]|" "$dir/journal.yaml"
echo 24 >"$dir/limit"
(tune journal) && fail 'journal: succeeds without room'
grep -q '^quern: .*cannot write .*/journal: File too large' "$dir/journal/out" ||
	fail "journal: says: $(last_words journal)"
[ "$(n_known journal)" -gt 10 ] || fail 'journal: nothing was measured before'
nothing_left journal
echo unlimited >"$dir/limit"
(tune journal) || fail "journal: exit $?: $(last_words journal)"
same_winners journal
asked_once journal 0
nothing_left journal

# A disk of its own: no room for the probe, then none for the journal.
near full
mkdir -p "$dir/full/device"
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=2400k none "$dir/full/device" 2>/dev/null; then
	mounted=$dir/full/device
	dd if=/dev/zero of="$mounted/filler" bs=1k count=2360 2>/dev/null
	(tune full) && fail 'full: succeeds without room'
	grep -q '^quern: full has [0-9]* kB left in .*/device and needs [0-9]* kB; make room' "$dir/full/out" ||
		fail "full: says: $(last_words full)"
	rm "$mounted/filler"
	(tune full) &
	tuner=$!
	wait_known full 30 $tuner && dd if=/dev/zero of="$mounted/filler" bs=1k 2>/dev/null
	wait $tuner && fail 'full: succeeds without room for the journal'
	# It may be the journal or the next program that has no room.
	tail -n 1 "$dir/full/out" | grep -q '^quern: .*\(No space left on device\|make room there\)' ||
		fail "full: says: $(last_words full)"
	rm "$mounted/filler"
	(tune full) || fail "full: exit $?: $(last_words full)"
	same_winners full
	asked_once full 0
	nothing_left full
fi

# ---- words that cannot be used ----

"$QUERN" tune -d "$dir/far.yaml" -o "$dir/far/x.yaml" "$dir/config.yaml" 2>"$dir/errors"
grep -q '^quern: the device far needs --at' "$dir/errors" || fail "--at: says: $(cat "$dir/errors")"
"$QUERN" tune -d "$dir/far.yaml" --at -oProxyCommand=x -o "$dir/far/x.yaml" "$dir/config.yaml" 2>"$dir/errors"
grep -q "must not begin with -" "$dir/errors" || fail "--at -o: says: $(cat "$dir/errors")"
"$QUERN" tune -d "$dir/far.yaml" --at nobody -o "$dir/far/x.yaml" "$dir/config.yaml" 2>"$dir/errors"
grep -q '^quern: there is no link to far: .*nobody' "$dir/errors" || fail "nobody: says: $(cat "$dir/errors")"

exit $failures
