#!/bin/sh
#
# estimate.sh: quern tune --estimate and quern cost with real compilers and llvm-mca, end to end.
#
# The same search gives the same file, also when it was stopped in its middle; the library builds from
# that file; a later run begins with its winners.  Needs srcdir, QUERN (the program), a compiler for
# aarch64 and llvm-mca.

set -u

: "${srcdir:?}" "${QUERN:=./quern}"
QUERN=$(realpath "$QUERN") QUERN_HOME=$(realpath "$srcdir")
export QUERN_HOME
for program in llvm-mca-19 aarch64-linux-gnu-gcc clang-19; do
	command -v $program >/dev/null || {
		echo "no $program"
		exit 77
	}
done
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failures=0

fail() {
	echo "estimate.sh: $*"
	failures=1
}

# In FILE there is a line that matches PATTERN.
has() {
	grep -Eq -e "$2" "$1" || fail "$1 has no '$2': $(head -n 5 "$1")"
}

cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w4g32]
shapes: [64x64, 128x256]
tokens: [1, 32]
threads: [1]
acts: [a8g32]
families: [dot, lut, gemm]
isas: [neon]
max_nmse: 1e-3
END

# estimate NAME [OPTION]...: its output goes to NAME.out and NAME.err.
estimate() {
	name=$1
	shift
	"$QUERN" tune --estimate neoverse-n1 --max-candidates 6 -o "$dir/$name.yaml" -w "$dir/work" "$@" \
		"$dir/config.yaml" >"$dir/$name.out" 2>"$dir/$name.err"
}

# ---- a run, and the same once more ----

estimate calm || fail "exit status $? of a calm run: $(cat "$dir/calm.err")"
has "$dir/calm.err" 'estimates for neoverse-n1 by llvm-mca 19'
has "$dir/calm.err" 'lossy kernels are left out'
has "$dir/calm.out" '^w4g32 +1 +[a-z]+_w4g32_a8g32_neon_.* 0\.[0-9]{4} .*(pipe|waiting|dispatch)'
has "$dir/calm.out" '^w4g32 +32 '
has "$dir/calm.out" 'not measured'
has "$dir/calm.yaml" '^estimated:$'
has "$dir/calm.yaml" '^  core: neoverse-n1$'
has "$dir/calm.yaml" '^  estimated: \{cycles_per_weight: 0\.'
grep -q 'median_us\|isa: scalar\|ADDS' "$dir/calm.yaml" && fail "an estimate says too much"
[ "$(grep -c '^- op: ' "$dir/calm.yaml")" = 4 ] || fail "not one entry for each of 4 cases"

same() {
	grep -v '^  seconds: ' "$dir/$1.yaml" >"$dir/$1.same"
	cmp -s "$dir/calm.same" "$dir/$1.same" || fail "$1: other results than a calm run"
}
same calm
lines=$(wc -l <"$dir/calm.journal")
estimate calm || fail "exit status $? of the same run again"
[ "$(wc -l <"$dir/calm.journal")" = "$lines" ] || fail "the same run asks again"
# (It knows its own winners now, which changes nothing.)
same calm

# ---- stopped in the middle, several times ----

for n in 1 2 3; do
	"$QUERN" tune --estimate neoverse-n1 --max-candidates 6 -o "$dir/cut.yaml" -w "$dir/cutwork" \
		"$dir/config.yaml" >"$dir/cut.out" 2>"$dir/cut.err" &
	pid=$!
	sleep 1
	kill -INT $pid 2>/dev/null
	wait $pid
	status=$?
	[ $status = 130 ] || [ $status = 0 ] || fail "stopped: exit status $status: $(cat "$dir/cut.err")"
	[ $status = 0 ] || has "$dir/cut.err" 'the same command goes on'
done
"$QUERN" tune --estimate neoverse-n1 --max-candidates 6 -o "$dir/cut.yaml" -w "$dir/cutwork" \
	"$dir/config.yaml" >"$dir/cut.out" 2>"$dir/cut.err" || fail "stopped, then: exit status $?"
same cut
[ -z "$(ls "$dir/cutwork/tmp")" ] || fail "temporary files are left"

# ---- what becomes of it ----

"$QUERN" gen "$dir/calm.yaml" -o "$dir/gen" --arch aarch64 || fail "gen does not take the file"
kernel=$(sed -n 's/^  kernel: //p' "$dir/calm.yaml" | head -n 1)
[ -f "$dir/gen/kernel_$kernel.c" ] || fail "gen does not use the winner $kernel"

estimate seeded --seed-from "$dir/calm.yaml" --compiler gcc || fail "--seed-from: exit status $?"
grep -q yc_ "$dir/seeded.yaml" && fail "--compiler gcc: kernels of clang"
has "$dir/seeded.err" 'compiled with aarch64-linux-gnu-gcc[^;]*$'
estimate clang --compiler clang || fail "--compiler clang: exit status $?"
has "$dir/clang.yaml" '^  command: clang-19'

# What an untuned library runs is among the candidates, though i8mm replaces its instruction set.
"$QUERN" tune --estimate cortex-a715 --max-candidates 6 -o "$dir/wide.yaml" -w "$dir/work" --compiler gcc \
	-f w4g32 >"$dir/wide.out" 2>&1 || fail "cortex-a715: $(tail -n 3 "$dir/wide.out")"
has "$dir/wide.yaml" 'default_kernel: dot_w4g32_a8g32_dotprod_'

# Measurements stay.
sed '/^estimated:$/,/^device:$/{/^device:$/!d}; /^  estimated: /d' "$dir/calm.yaml" >"$dir/measured.yaml"
estimate measured && fail "an estimate replaces measurements"
has "$dir/measured.err" 'holds measurements'

# ---- costs ----

"$QUERN" cost -w "$dir/work" --why -c cortex-a55,cortex-a76 'family=dot format=w4g32 act=a8g32 isa=neon' \
	"$dir/calm.yaml" >"$dir/cost.out" 2>"$dir/cost.err" || fail "cost: $(cat "$dir/cost.err")"
has "$dir/cost.out" '^kernel .* cortex-a55 +cortex-a76$'
has "$dir/cost.out" "^$kernel +gcc +0\.[0-9]{4} +0\.[0-9]{4} .*\([0-9.]+\)"
has "$dir/cost.out" "^$kernel +clang "
has "$dir/cost.out" "cortex-a76: the N1's model stands in"
"$QUERN" cost -w "$dir/work" -c neoverse-n2 --compiler clang "$dir/config.yaml" >"$dir/cost.out" 2>&1 ||
	fail "cost of a config: $(cat "$dir/cost.out")"
has "$dir/cost.out" '^gemm_w4g32_a8g32_neon_[^ ]* +clang +0\.'

# ---- misuse ----

misuse() {
	says=$1
	shift
	"$QUERN" "$@" >"$dir/misuse" 2>&1
	[ $? = 2 ] || fail "$*: not exit status 2"
	has "$dir/misuse" "$says"
}
misuse 'no model of a core .cortex-a9.: must be one of cortex-a53, ' tune -e cortex-a9
misuse 'is for estimates' tune --compiler gcc
misuse 'must be gcc, clang or both' tune -e cortex-a55 --compiler icc
misuse 'exclude each other' tune -e cortex-a55 -t 2
misuse '--at and --estimate exclude each other' tune -e cortex-a55 --at here
misuse 'name a kernel' cost
misuse "option '-w' needs a value" cost -w '' x
misuse 'no model of a core' cost -c pentium x
"$QUERN" cost -w "$dir/work" 'family=dot format=w4g32 act=a8g32 isa=avx2' >"$dir/misuse" 2>&1 && fail "cost of avx2"
has "$dir/misuse" 'aarch64 only'
PATH=$dir/none "$QUERN" cost -w "$dir/work" 'family=dot format=w4g32 act=a8g32 isa=neon' >"$dir/misuse" 2>&1
has "$dir/misuse" "cannot run 'aarch64-linux-gnu-gcc'"
mkdir "$dir/few" && for program in aarch64-linux-gnu-gcc as; do
	ln -s "$(command -v $program)" "$dir/few/$program"
done
PATH=$dir/few "$QUERN" cost -w "$dir/work" 'family=dot format=w4g32 act=a8g32 isa=neon' >"$dir/misuse" 2>&1
has "$dir/misuse" 'install llvm \(Debian: llvm-19\)'

exit $failures
