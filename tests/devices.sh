#!/bin/sh
#
# devices.sh: a tuning run from here to a device and back, over every way to reach one.
#
# The device is an aarch64 machine that qemu-aarch64 plays: started directly, over a real sshd on
# loopback, and over adb's real client with a stand-in for its server and the phone
# (adb_stand_in.c).  Probes are real.  Needs srcdir, QUERN (the program) and cc.

set -u

: "${srcdir:?}" "${QUERN:=./quern}"
QUERN=$(realpath "$QUERN") QUERN_HOME=$(realpath "$srcdir")
QUERN_COOL_SECONDS=0.01	# a busy machine is no hot one
export QUERN_HOME QUERN_COOL_SECONDS
# shellcheck source=tests/sshd.sh
. "$QUERN_HOME/tests/sshd.sh"
for tool in qemu-aarch64 aarch64-linux-gnu-gcc; do
	command -v $tool >/dev/null || {
		echo "no $tool"
		exit 77
	}
done
dir=$(mktemp -d) || exit 1
sshd_pid= adb_pid=
clean_up() {
	sshd_stop
	[ -z "$adb_pid" ] || kill "$adb_pid" 2>/dev/null
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
failures=0

fail() {
	echo "devices.sh: $*"
	failures=1
}

cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w4g32]
shapes: [64x256]
tokens: [1]
threads: [1]
acts: [a8g32]
families: [dot]
isas: [neon]
END

# run NAME DEVICE [OPTION]...: a short run with compilers' work shared, and what it must have left.
run() {
	name=$1 device=$2
	shift 2
	"$QUERN" tune -b 3 -d "$device" -o "$dir/$name.yaml" -w "$dir/work" "$@" "$dir/config.yaml" \
		>"$dir/$name.out" 2>&1 || fail "$name: exit $?: $(tail -n 3 "$dir/$name.out")"
	grep -q '^complete: true' "$dir/$name.yaml" || fail "$name: not complete"
	grep -q '^  arch: aarch64' "$dir/$name.yaml" || fail "$name: not measured on aarch64"
	grep -q '^  failed: \[\]' "$dir/$name.yaml" || fail "$name: $(grep -A 4 '^  failed:' "$dir/$name.yaml")"
	grep -q 'kernel: .*_neon_' "$dir/$name.yaml" || fail "$name: no winner"
	"$QUERN" gen "$dir/$name.yaml" -o "$dir/$name" --arch aarch64 || fail "$name: no C of its winner"
	left=$(find "$dir/device" -mindepth 1 2>/dev/null | head -n 3)
	[ -z "$left" ] || fail "$name: left on the device: $left"
	# shellcheck disable=SC2012
	left=$(ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -F " $dir/device")
	[ -z "$left" ] || fail "$name: processes are still there: $left"
}

# template NAME SED-SCRIPT: a device file that ships, on this machine's qemu.  One compiler is enough.
template() {
	sed -e '/^clang: /d' -e "s|^work: .*|work: $dir/device|" -e "$2" \
		"$QUERN_HOME/tuner/devices/$1.yaml" >"$dir/$1-device.yaml"
	grep -q '^work: ' "$dir/$1-device.yaml" || return 0
	printf 'start: [qemu-aarch64]\ntime_out: 60\n' >>"$dir/$1-device.yaml"
}

template qemu-aarch64 ''
run qemu "$dir/qemu-aarch64-device.yaml"

if command -v adb >/dev/null; then
	${BUILD_CC:-cc} -std=c11 -D_GNU_SOURCE -o "$dir/adb_stand_in" \
		"$QUERN_HOME/tests/adb_stand_in.c" || exit 1
	for try in 1 2 3 4 5 6 7 8 9 10; do
		port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 30000))
		"$dir/adb_stand_in" $port PHONE1 >"$dir/adb.out" 2>&1 &
		adb_pid=$!
		for wait in 1 2 3 4 5 6 7 8 9 10; do
			[ ! -s "$dir/adb.out" ] || break
			sleep 0.1
		done
		! grep -q ready "$dir/adb.out" || break
	done
	export ANDROID_ADB_SERVER_PORT=$port HOME="$dir"
	unset ANDROID_SERIAL ADB_SERVER_SOCKET
	template adb-aarch64 ''
	run adb "$dir/adb-aarch64-device.yaml" --at PHONE1
	"$QUERN" tune -d "$dir/adb-aarch64-device.yaml" --at PHONE2 -o "$dir/x.yaml" -w "$dir/work" \
		"$dir/config.yaml" >"$dir/x.out" 2>&1 && fail 'adb: finds a phone that is not there'
	grep -q "^quern: there is no link to adb-aarch64: .*device 'PHONE2' not found" "$dir/x.out" ||
		fail "adb: says: $(tail -n 1 "$dir/x.out")"
	! grep -q 'still on' "$dir/x.out" || fail 'adb: names files of a phone that is not there'
	"$QUERN" device doctor "$dir/adb-aarch64-device.yaml" --at PHONE1 -w "$dir/work" >"$dir/doctor.out" 2>&1 ||
		fail "adb: doctor: exit $?: $(tail -n 1 "$dir/doctor.out")"
	grep -q '^features  *neon' "$dir/doctor.out" || fail "adb: doctor says: $(head -n 3 "$dir/doctor.out")"
	left=$(find "$dir/device" -mindepth 1 2>/dev/null | head -n 3)
	[ -z "$left" ] || fail "adb: doctor leaves $left on the device"
else
	skipped='no adb'
fi

(sshd_find) >"$dir/why" || {
	cat "$dir/why"
	[ $failures = 0 ] && exit 77
	exit 1
}
sshd_find
sshd_make
template ssh-aarch64 "s|^run: \\[ssh,|run: [ssh, -F, \"$ssh_config\",|; s|^copy: \\[scp,|copy: [scp, -F, \"$ssh_config\",|"
run ssh "$dir/ssh-aarch64-device.yaml" --at phone

[ $failures = 0 ] || exit 1
[ -z "${skipped-}" ] || {
	echo "$skipped"
	exit 77
}
