#!/bin/sh
#
# quantize.sh: `quern-run random` and `quern-run quantize`: what they write and print, and what they
# refuse.  Runs in a build folder.

set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

complain() {
	echo "quantize.sh: $*"
	bad=1
}

run() {
	${RUN-} ./quern-run "$@"
}

# refuses STATUS PATTERN WORD...: exit status and one line on standard error, nothing beside it.
refuses() {
	status=$1 pattern=$2
	shift 2
	run "$@" >"$dir/out" 2>"$dir/errors"
	got=$?
	[ "$got" = "$status" ] || complain "$*: exit $got, not $status"
	[ ! -s "$dir/out" ] || complain "$*: prints $(head -n 1 "$dir/out")"
	grep -q "^quern-run: .*$pattern" "$dir/errors" || complain "$*: says $(cat "$dir/errors")"
	[ "$(wc -l <"$dir/errors")" = 1 ] || complain "$*: says more than a sentence"
}

# ---- random ----

run random --list >"$dir/list" || complain "random --list: exit $?"
for model in tinyllama-1.1b llama-3.2-1b llama-2-7b llama-3.1-8b llama-2-70b mistral-7b phi-2 phi-3-mini \
	bitnet-2b-4t bitnet-3b qwen2-0.5b qwen2-1.5b qwen2-7b qwen3-0.6b qwen3-1.7b qwen3-4b gemma-2-2b \
	gemma-3-1b gemma-3-4b; do
	grep -q " $model\$" "$dir/list" || complain "random --list lacks $model"
done
run random --arch llama --type F32 "$dir/f32.gguf" >"$dir/out" 2>&1 || complain "random: exit $?"
[ ! -s "$dir/out" ] || complain "random prints $(cat "$dir/out")"
run random --size tiny-llama --type f32 "$dir/same.gguf" || complain "random by name: exit $?"
cmp -s "$dir/f32.gguf" "$dir/same.gguf" || complain 'the same model by another name differs'
run random --arch llama --type F32 --seed 2 "$dir/same.gguf" || complain "random --seed: exit $?"
cmp -s "$dir/f32.gguf" "$dir/same.gguf" && complain 'another seed gives the same file'
run random --arch llama --type TQ2_0 --output-type Q6_K --layers 1 --vocab "$dir/f32.gguf" --context 64 \
	"$dir/small.gguf" || complain "random with sizes: exit $?"
run info "$dir/small.gguf" >"$dir/info"
grep -q 'llama.block_count = 1$' "$dir/info" && grep -q 'blk.0.ffn_up.weight *TQ2_0 ' "$dir/info" &&
	grep -q 'output.weight *Q6_K ' "$dir/info" && grep -q 'context_length = 64$' "$dir/info" ||
	complain "random with sizes: $(cat "$dir/info")"

refuses 2 'the file to write is missing' random --arch llama
refuses 2 "'b' is a second file" random --arch llama a b
refuses 2 '--arch or --size is missing' random "$dir/x.gguf"
refuses 2 '--type Q9: no such type; there are F32' random --type Q9 "$dir/x.gguf"
refuses 2 '--layers 0: must be a number from 1' random --layers 0 "$dir/x.gguf"
refuses 2 '--seed -1: must be a number' random --seed -1 "$dir/x.gguf"
refuses 2 "'--what' is no option" random --what 1 "$dir/x.gguf"
refuses 2 "'--arch' is no option or lacks its value" random "$dir/x.gguf" --arch
refuses 1 'architecture gpt5 is not known' random --arch gpt5 "$dir/x.gguf"
refuses 1 'no/x.gguf: cannot create it' random --arch llama "$dir/no/x.gguf"
refuses 1 'rows of 3200 values; TQ2_0 needs a multiple of 256' random --size bitnet-3b --type TQ2_0 "$dir/x.gguf"

# ---- quantize ----

run quantize "$dir/f32.gguf" "$dir/q.gguf" Q4_0 >"$dir/out" 2>"$dir/errors" || complain "quantize: exit $?"
[ ! -s "$dir/errors" ] || complain "quantize complains: $(cat "$dir/errors")"
grep -Eq '^blk.1.ffn_down.weight +180x72 F32 +-> F16 .*rows are no whole blocks of Q4_0' "$dir/out" &&
	grep -Eq '^.*q.gguf: NMSE [0-9.e-]+ of what was quantised, 5 tensors as they were$' "$dir/out" ||
	complain "quantize prints $(cat "$dir/out")"
run random --arch llama --type F32 --embd 256 --ff 512 "$dir/wide.gguf" || complain "random --embd: exit $?"
run quantize --threads 2 --pure --type q4_k "$dir/wide.gguf" "$dir/q.gguf" >"$dir/out" ||
	complain "quantize --type: exit $?"
awk '/ -> / { n++; if ($5 != "Q4_K" || !($6 > 0.002 && $6 < 0.01)) print }
	END { if (n != 16) print n + 0 " matrices" }' "$dir/out" >"$dir/found"
[ ! -s "$dir/found" ] || complain "quantize --pure: $(head -n 3 "$dir/found")"
run quantize "$dir/q.gguf" "$dir/again.gguf" Q8_0 --requantize >"$dir/out" || complain "--requantize: exit $?"

refuses 2 'two files and a type are wanted' quantize "$dir/f32.gguf" "$dir/x.gguf"
refuses 2 'the file to write is missing' quantize --type Q4_0 "$dir/f32.gguf"
refuses 2 "'more' is one word too many" quantize "$dir/f32.gguf" "$dir/x.gguf" Q4_0 more
refuses 2 'type Q4_K_M: no such type' quantize "$dir/f32.gguf" "$dir/x.gguf" Q4_K_M
refuses 2 '--threads 0: must be a number from 1' quantize --threads 0 "$dir/f32.gguf" "$dir/x.gguf" Q4_0
refuses 2 "'--what' is no option" quantize "$dir/f32.gguf" "$dir/x.gguf" Q4_0 --what
refuses 1 'is Q4_K already; its floats are wanted' quantize "$dir/q.gguf" "$dir/x.gguf" Q8_0
refuses 1 'it is the file to be read' quantize "$dir/f32.gguf" "$dir/f32.gguf" Q4_0
refuses 1 'none.gguf: cannot open' quantize "$dir/none.gguf" "$dir/x.gguf" Q4_0
refuses 1 'not a GGUF file' quantize "$dir/list" "$dir/x.gguf" Q4_0

# What fails leaves no file, nor a part of one.
left=$(ls "$dir" | grep -E '^x|quern-')
[ -z "$left" ] || complain "leaves $left"

# One that is stopped neither.
${RUN-} ./quern-run random --arch llama --size 7b "$dir/big.gguf" 2>"$dir/errors" &
pid=$!
n=0
until ls "$dir" | grep -q quern- || [ $n = 100 ]; do
	sleep 0.1
	n=$((n + 1))
done
kill -TERM $pid
wait $pid
status=$?
[ "$status" = 130 ] || complain "stopped: exit $status: $(cat "$dir/errors")"
left=$(ls "$dir" | grep -E '^big|quern-')
[ -z "$left" ] || complain "stopped, it leaves $left"

exit $bad
