#!/bin/sh
#
# doctor.sh: quern device, from the list of devices to a look at this machine, at one behind a real sshd
# on loopback, at one that qemu plays, and at one that is not there.  Needs srcdir and QUERN (the program).

set -u

: "${srcdir:?}" "${QUERN:=./quern}"
QUERN=$(realpath "$QUERN") QUERN_HOME=$(realpath "$srcdir")
export QUERN_HOME
# shellcheck source=tests/sshd.sh
. "$QUERN_HOME/tests/sshd.sh"
dir=$(mktemp -d) || exit 1
sshd_pid=
trap 'sshd_stop; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
failures=0
# In a cross build CC is not a compiler of this machine.
[ -z "${RUN-}" ] || unset CC

fail() {
	echo "doctor.sh: $*"
	failures=1
}

# says STATUS PATTERN ARGUMENT...: how it ends, and one line that it has on standard error.
says() {
	status=$1 pattern=$2
	shift 2
	"$QUERN" device "$@" >"$dir/out" 2>"$dir/err"
	ended=$?
	[ $ended = "$status" ] || fail "device $*: exit $ended, not $status"
	grep -q "$pattern" "$dir/err" || fail "device $*: says: $(cat "$dir/err")"
	[ "$(wc -l <"$dir/err")" -le 1 ] || fail "device $*: says more than one line: $(cat "$dir/err")"
	[ ! -s "$dir/out" ] || fail "device $*: prints: $(head -n 3 "$dir/out")"
}

cd "$dir" || exit 1
says 2 '^quern: device: say what: list or doctor; see quern device --help$'
says 2 "^quern: device: 'docter' is neither list nor doctor;" docter
says 2 '^quern: device: doctor needs the name of a device,' doctor
says 2 "not also at 'b';" doctor a b
says 2 "unknown option '--jason'" doctor local --jason
says 2 "unknown option '-x'" doctor local -x
says 2 "option '--at' needs a value" doctor local --at
says 2 "option '--at=' needs a value" doctor ssh-aarch64 --at=
says 2 "option '-w' needs a value" doctor local -w ''
says 2 "jobs '0' must be 1 to 64" doctor local -j 0
says 2 "list takes no 'local'" list local
says 1 'devices/nowhere.yaml' doctor nowhere
says 1 '^quern: ./x.yaml' doctor ./x.yaml
says 1 '^quern: the device ssh-aarch64 needs --at' doctor ssh-aarch64
says 1 '^quern: the device local has no {at}' doctor local --at here
[ ! -e .quern-work ] || fail 'a wrong command leaves a work folder'
"$QUERN" device --help | grep -q '^usage: quern device list' || fail 'no help'
"$QUERN" device doctor --help | grep -q -e '--json' || fail 'no help of doctor'
"$QUERN" device list >names || fail 'no list'
for name in local qemu-aarch64 adb-aarch64 ssh-aarch64; do
	grep -q "^$name  *[A-Z0-9]" names || fail "list lacks $name: $(cat names)"
done

# check_json NAME ARCH: the JSON is whole and says what it must.
json=
check_json() {
	[ -n "$json" ] || return 0
	python3 - "$1" "$2" <<-'PYTHON' || fail "$1: $(head -c 300 "$1.json")"
		import json, sys
		with open(sys.argv[1] + ".json") as file:
		    d = json.load(file)
		assert d["arch"] == sys.argv[2], d["arch"]
		assert d["cores"] >= 1 and d["page_bytes"] >= 4096 and d["clock_ns"] > 0
		assert d["isa"] and d["allowed"] and d["features"] and isinstance(d["sensors"], list)
		assert d["counters"] in ("papi", "perf", "none"), d["counters"]
		assert len(d["classes"]) >= 1 and all(isinstance(a, str) for a in d["advice"])
		for c in d["classes"]:
		    assert [s["threads"] for s in c["speeds"]][0] == 1 and len(c["speeds"]) <= 2
		    for s in c["speeds"]:
		        assert s["why"] is None, s["why"]
		        assert s["dram_gbps"] > 0 and s["int8_gmacs"] > 0
		        assert s["canary_most_ns"] >= s["canary_ns"] > 0
	PYTHON
}
python3 -c 'import json' 2>/dev/null && json=yes

# look NAME DEVICE ARCH [OPTION]...: as a report and as JSON, and no word on the way.
look() {
	name=$1 device=$2 arch=$3
	shift 3
	"$QUERN" device doctor "$device" "$@" -w work >"$name.out" 2>"$name.err" ||
		fail "$name: exit $?: $(cat "$name.err")"
	[ ! -s "$name.err" ] || fail "$name: says: $(cat "$name.err")"
	for line in "machine  *.*, $arch, " 'features  *[a-z]' 'widest  *[a-z]' 'caches  *[0-9]* KiB' \
		'counters  *[a-z]' 'clock  *ticks of' 'heat ' 'battery ' 'energy ' \
		'class  cores  *part ' 'class  cores  *threads  *GB/s'; do
		grep -q "^$line" "$name.out" || fail "$name: no line '$line': $(cat "$name.out")"
	done
	grep -qE '^(Nothing|What) ' "$name.out" || fail "$name: no conclusion"
	"$QUERN" device doctor --json "$device" "$@" -w work >"$name.json" 2>"$name.err" ||
		fail "$name: --json: exit $?: $(cat "$name.err")"
	check_json "$name" "$arch"
}

look local local "$(uname -m)"

# A phone that is made of files, so that there is something to say.
put() {
	mkdir -p "$(dirname "phone/$1")" && printf '%s\n' "$2" >"phone/$1"
}
put sys/class/thermal/thermal_zone0/type cpu-1-0-usr
put sys/class/thermal/thermal_zone0/temp 71300
put sys/class/thermal/cooling_device0/type thermal-cpufreq-0
put sys/class/thermal/cooling_device0/cur_state 2
put sys/class/power_supply/main/type Battery
put sys/class/power_supply/main/status Charging
put sys/class/power_supply/main/capacity 55
put proc/sys/kernel/perf_event_paranoid 3
cpu=$("$QUERN" device doctor --json local -w work | sed -n 's/.*"allowed": "\([0-9]*\).*/\1/p')
put "sys/devices/system/cpu/cpu$cpu/cpufreq/scaling_governor" schedutil
put "sys/devices/system/cpu/cpu$cpu/cpufreq/scaling_cur_freq" 1200000
sed -e "s|^name:.*|name: made-up|" -e "\$a environment: {QUERN_SYSFS_ROOT: $dir/phone}" \
	"$QUERN_HOME/tuner/devices/local.yaml" >phone.yaml
look phone ./phone.yaml "$(uname -m)"
for line in '^heat  *cpu-1-0-usr 71.3 C; slowed down' '^battery  *Charging, 55 %' 'the governor is schedutil' \
	'  1200  schedutil' 'cpu-1-0-usr is at 71.3 C before any work' 'the battery is being charged' \
	'perf_event_paranoid is 3.*setprop security.perf_harden 0' 'slows processors down'; do
	grep -q "$line" phone.out || fail "phone: no line '$line': $(cat phone.out)"
done

# A device that does not answer, one without a compiler, a work folder that cannot be.
sed 's|^run:.*|run: ["false", "{program}"]|' phone.yaml >dead.yaml
says 1 '^quern: the probe does not run on made-up: ' doctor ./dead.yaml -w work
sed 's|^compiler:.*|compiler: [no-such-compiler]|' phone.yaml >bare.yaml
says 1 'no-such-compiler' doctor ./bare.yaml -w work
says 1 '^quern: ' doctor ./phone.yaml -w /proc/nowhere

if (sshd_find) >why; then
	sshd_find
	sshd_make
	sed -e "s|^compiler:.*|compiler: [cc]|" -e "/^clang:/d" -e "s|^work: .*|work: $dir/device|" \
		-e "s|^run: \\[ssh,|run: [ssh, -F, \"$ssh_config\",|" \
		-e "s|^copy: \\[scp,|copy: [scp, -F, \"$ssh_config\",|" \
		"$QUERN_HOME/tuner/devices/ssh-aarch64.yaml" >far.yaml
	look ssh ./far.yaml "$(uname -m)" --at phone
	grep -q '^device  *ssh-aarch64 at phone$' ssh.out || fail "ssh: $(head -n 1 ssh.out)"
	left=$(find device -mindepth 1 2>/dev/null | head -n 3)
	[ -z "$left" ] || fail "ssh: left on the device: $left"
else
	skipped=$(cat why)
fi

if command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null; then
	look qemu qemu-aarch64 aarch64
else
	skipped='no qemu-aarch64 or no aarch64-linux-gnu-gcc'
fi

[ $failures = 0 ] || exit 1
[ -n "$json" ] || skipped='JSON is not looked at without python3'
[ -z "${skipped-}" ] || {
	echo "$skipped"
	exit 77
}
