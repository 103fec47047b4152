#!/bin/sh
#
# reasons.sh: why kernels are as fast as they are, in the results of runs with a probe that pretends.
#
# With counters and without, with the compiler's assembly and llvm-mca and without: what is missing
# leaves its numbers out, and nothing fails.  Needs srcdir, QUERN (the program) and cc.

set -u

. "${srcdir:?}/tests/fake.sh"

# In FILE there is a line that matches PATTERN, or there is none.
has() {
	grep -Eq -e "$2" "$dir/$1" || fail "$1 has no '$2'"
}
has_not() {
	! grep -Eq -e "$2" "$dir/$1" || fail "$1 has '$2': $(grep -Ee "$2" "$dir/$1" | head -n 1)"
}

# A device elsewhere, and one that is this machine, of which llvm-mca knows the processor.
fake_device >"$dir/far.yaml"
sed 's/^run: .*/run: ["{program}"]/' "$dir/far.yaml" >"$dir/here.yaml"
cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w4g32, w1g128]
shapes: [64x64, 96x128]
tokens: [1]
threads: [1, 2]
acts: [a8g32]
families: [dot, lut]
isas: [avx2, avx512]
END

# tune NAME DEVICE: a run of its own, with programs of $path, in the folder NAME; its output goes to
# NAME/out.
path=$PATH
tune() {
	mkdir -p "$dir/$1"
	PATH=$path "$QUERN" tune -b 100 -d "$dir/$2.yaml" -o "$dir/$1/r.yaml" "$dir/config.yaml" \
		>"$dir/$1/out" 2>&1 || fail "$1: exit $?: $(tail -n 3 "$dir/$1/out")"
	has "$1/r.yaml" '^complete: true'
	"$QUERN" gen "$dir/$1/r.yaml" -o "$dir/$1/c" --arch x86_64 || fail "$1: the file cannot be read"
}

# ---- nothing is known ----

tune bare far
has_not bare/r.yaml 'reason|per_weight'
FAKE_ASM=fail
export FAKE_ASM
tune broken far
has_not broken/r.yaml 'reason|per_weight'

# ---- assembly ----

FAKE_ASM=code
tune code far
has code/r.yaml '^  reason: [0-9.]+ instructions a weight in its loop'
has code/r.yaml '^  reason_tier: static$'
has code/r.yaml '^  per_weight: \{code_instructions: 0\.[0-9]+, code_vector: 0\.[0-9]+, code_memory: 0'
has code/r.yaml 'reason: .more work: [12]\.[0-9]+x the instructions a weight \(0.[0-9]+ to 0.[0-9]+\), most of them vector arithmetic.'
has code/r.yaml 'reason: [^,]*no difference in the code.s cost explains it'
has code/r.yaml '[12] spills in the loop'
has_not code/r.yaml 'reason_tier: measured|[ {]cycles:|[ {]instructions:|code_cycles|code_bytes|llvm-mca'
has code/out '^        [0-9.]+ instructions a weight in its loop.* \(static\)$'

# The ratio that a sentence names is that of the numbers beside it.
awk '
	/^  per_weight:/ { sub(/.*code_instructions: /, ""); winner = $0 + 0 }
	/^  - \{kernel: .*more work/ {
		said = $0; sub(/.*more work: /, "", said)
		own = $0; sub(/.*code_instructions: /, "", own)
		n++
		if (said + 0 < 1.15 || said - own / winner > 0.006 || own / winner - said > 0.006)
			print "says " said + 0 ", is " own / winner
	}
	END { if (!n) print "there is none" }' "$dir/code/r.yaml" >"$dir/ratios"
[ ! -s "$dir/ratios" ] || fail "code: a ratio is wrong: $(head -n 1 "$dir/ratios")"

# The same command again says the same.
grep -v '^  seconds: ' "$dir/code/r.yaml" >"$dir/before"
tune code far
grep -v '^  seconds: ' "$dir/code/r.yaml" | cmp -s - "$dir/before" || fail 'code: another file the second time'

# ---- llvm-mca ----

if [ "$(uname -m)" = x86_64 ]; then
	mkdir "$dir/bin"
	cat >"$dir/bin/llvm-mca-19" <<'END'
#!/bin/sh
# As many cycles as there are lines, or up to six times as many, in 100 passes each.
case $1 in --version) echo 'LLVM version 19.9.9'; exit ;; esac
for file; do :; done
awk -v cpu="$1" '
	/^# LLVM-MCA-BEGIN/ { n = -1 }
	{ n++ }
	/^# LLVM-MCA-END/ {
		print "Iterations: 100\nTotal Cycles: " 100 * (n - 1) * (1 + n % 6) "\nTotal uOps: 100\nDispatch Width: 6"
		print "[1] - Zn4FP0\n\nResource pressure per iteration:\n[1]\n 0.5"
	}
	cpu != "-mcpu=native" { exit 1 }' "$file"
END
	chmod +x "$dir/bin/llvm-mca-19"
	path=$dir/bin:$PATH
	tune modelled here
	has modelled/r.yaml '^  reason: .?its loop.*by llvm-mca'
	has modelled/r.yaml '^  per_weight: .*code_cycles: 0'
	has modelled/r.yaml 'slower loop: [0-9.]+x the cycles .* by llvm-mca: waiting for results'

	printf '#!/bin/sh\n[ "$1" = --version ]\n' >"$dir/bin/llvm-mca-19"
	tune mute here
	has mute/r.yaml '^  reason: [0-9.]+ instructions a weight in its loop'
	has_not mute/r.yaml 'code_cycles|llvm-mca'

	path=$dir/none
	tune without here
	has without/out '^reasons do without llvm-mca'
	has without/r.yaml '^  reason: [0-9.]+ instructions a weight in its loop'
	has_not without/r.yaml 'code_cycles|llvm-mca'
	path=$PATH
fi

# ---- counters ----

FAKE_COUNTS=work
export FAKE_COUNTS
tune work far
has work/out '^counters: perf, without some: stalls: a fake$'
has work/r.yaml '^  reason: .busy: 2\.00 instructions a cycle, [0-9.]+ a weight'
has work/r.yaml 'reason: .more work: 1\.[0-9]+x the instructions a weight \([0-9.]+ to [0-9.]+\).*reason_tier: measured, per_weight: \{instructions: '
has work/r.yaml 'per_weight: \{instructions: [0-9.]+, cycles: [0-9.]+, memory_stalls: [0-9.]+, code_instructions'
has work/r.yaml '^  counters: \{cycles: [0-9.]+, instructions: [0-9.]+, memory_stalls: [0-9.]+, page_faults: '
# Two threads are not counted.
has work/r.yaml 'reason_tier: static'

FAKE_COUNTS=memory
tune memory far
has memory/r.yaml 'reason: .memory: waits for it in [0-9.]+ more cycles a weight of '
has memory/r.yaml '^  reason: (.memory: waits for it in [0-9]+ % of its cycles|.busy)'
FAKE_COUNTS=clock
tune clock far
has clock/r.yaml 'reason: .as many cycles in 1\.[0-9]+x the time: the clock differed, distrust the sample'

# Counters alone.
unset FAKE_ASM
FAKE_COUNTS=work
tune counted far
has counted/r.yaml 'reason: .more work: .*reason_tier: measured'
has_not counted/r.yaml 'code_|spills|static'

# ---- at the roof ----

unset FAKE_COUNTS
FAKE_ASM=code FAKE_GBPS=0.04
export FAKE_ASM FAKE_GBPS
tune roof far
has roof/r.yaml '^  reason: .at the roof: [0-9]+ % of 0\.0 GB/s'
has roof/r.yaml '^  reason_tier: measured$'
has_not roof/r.yaml 'static|per_weight'
has_not roof/out 'at the roof|static'
[ -z "$(find "$dir/roof" -name '*.s')" ] || fail 'roof: assembly was made that nobody needs'

exit $failures
