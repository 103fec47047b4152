#!/bin/sh
#
# slurm.sh: a tuning that a Slurm job array splits, merged to the winners of an undivided run.
#
# The cluster is this machine: munged, slurmctld and slurmd of Debian's slurm-wlm with a configuration, a key
# and sockets of their own in a temporary folder; nothing of the system is read or changed.
# Needs srcdir, QUERN (the program), cc and root.

set -u

PATH=$PATH:/usr/sbin:/sbin
for program in munged munge slurmctld slurmd sbatch squeue; do
	command -v $program >/dev/null || {
		echo "$program is not installed (Debian: slurm-wlm)"
		exit 77
	}
done
[ "$(id -u)" = 0 ] || {
	echo 'not root, which slurmd wants to be'
	exit 77
}

. "${srcdir:?}/tests/fake.sh"
pids= job=
finish() {
	if [ -n "$job" ] && ! is_done; then
		scancel "$job"
		until_true 10 is_done
	fi
	for pid in $pids; do
		kill "$pid" 2>/dev/null
	done
	for pid in $pids; do
		until_true 5 is_gone "$pid" || kill -9 "$pid" 2>/dev/null
	done
	rm -rf "$dir"
}
is_gone() {
	! kill -0 "$1" 2>/dev/null
}
is_done() {
	[ -z "$(squeue -h -j "$job" 2>/dev/null)" ]
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

fail() {
	echo "slurm.sh: $*"
	tail -n 5 "$dir"/*.log "$dir"/*.out 2>/dev/null
	exit 1
}

# until_true SECONDS COMMAND...: waits for it.
until_true() {
	left=$(($1 * 5))
	shift
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.2
	done
}

# A port that nobody listens to; another number for every process that asks.
free_port() {
	port=$((20000 + ($$ * 7 + $1 * 1009) % 12000))
	while grep -qi ":$(printf %04X $port) 0*:0000 0A" /proc/net/tcp; do
		port=$((port + 1))
	done
	echo $port
}

host=$(uname -n | cut -d . -f 1)
chmod 755 "$dir"
mkdir "$dir/state" "$dir/spool"
dd if=/dev/urandom of="$dir/munge.key" bs=128 count=1 2>/dev/null
chmod 600 "$dir/munge.key"
cat >"$dir/slurm.conf" <<END
ClusterName=quern
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port 1)
SlurmdPort=$(free_port 2)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=3 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=10 State=UP
END
SLURM_CONF=$dir/slurm.conf
export SLURM_CONF

munged --foreground --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" \
	--pid-file="$dir/munged.pid" --seed-file="$dir/munge.seed" --log-file="$dir/munged.log" \
	>"$dir/munged.out" 2>&1 &
pids=$!
until_true 10 test -S "$dir/munge.socket" || fail 'munged does not start'
slurmctld -D -f "$dir/slurm.conf" >"$dir/slurmctld.out" 2>&1 &
pids="$pids $!"
slurmd -D -f "$dir/slurm.conf" -N "$host" >"$dir/slurmd.out" 2>&1 &
pids="$pids $!"
is_idle() {
	[ "$(sinfo -h -o %T)" = idle ]
}
until_true 60 is_idle || fail "the node does not come up: $(sinfo -h 2>&1)"

# ---- the tuning ----

fake_device >"$dir/fake.yaml"
cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w4g32, w1g128, w8g32, w2g64]
shapes: [64x64, 96x128]
tokens: [1]
threads: [1, all]
acts: [a8g32]
families: [dot, lut]
isas: native
END
cat >"$dir/job.sh" <<END
#!/bin/sh
#SBATCH --array=1-3
#SBATCH --cpus-per-task=1
#SBATCH --output=$dir/job-%a.out
#SBATCH --chdir=$dir
"$QUERN" tune -j 1 -b 100 -d "$dir/fake.yaml" --shard \$SLURM_ARRAY_TASK_ID/3 config.yaml
END
job=$(sbatch --parsable "$dir/job.sh") || fail 'sbatch fails'
until_true 120 is_done || fail "the jobs do not end: $(squeue 2>&1)"
for i in 1 2 3; do
	[ -e "$dir/results/fake-cpu-1.shard-$i-of-3.yaml" ] || fail "job $i: $(tail -n 3 "$dir/job-$i.out")"
done

cd "$dir" || exit 1
"$QUERN" merge -o merged.yaml results/fake-cpu-1.shard-*.yaml >merge.out 2>&1 || fail "merge: $(cat merge.out)"
"$QUERN" tune -b 100 -d fake.yaml -o whole.yaml config.yaml >whole.out 2>&1 || fail 'the undivided run fails'
grep -q '^complete: true' merged.yaml || fail 'the merged results are not complete'
winners() {
	sed -n '/^entries/,$p' "$1" | grep -v '^  run: '
}
winners merged.yaml >merged.winners
winners whole.yaml >whole.winners
[ "$(grep -c '^  kernel: ' whole.winners)" = 16 ] || fail 'not 16 winners'
cmp -s merged.winners whole.winners ||
	fail "other winners than the undivided run: $(diff merged.winners whole.winners | head -n 5)"
exit 0
