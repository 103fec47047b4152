#!/bin/sh
#
# models.sh: quern-run's commands that run models: the published text of a real one, benchmarks in three forms, perplexity
# and divergence, a conversation, and wrong words.

set -u
run=${RUN:+$RUN }./quern-run
models=${QUERN_SHARED:-../shared}/models
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

complain() {
	echo "$*"
	bad=1
}

# refuse STATUS TEXT COMMAND...: has to end with the status, and a sentence with the text.
refuse() {
	status=$1 says=$2
	shift 2
	$run "$@" >"$work/out" 2>"$work/err" </dev/null
	[ $? -eq "$status" ] || complain "quern-run $*: status is not $status"
	grep -q -- "$says" "$work/err" || complain "quern-run $*: does not say '$says': $(cat "$work/err")"
}

# The text that its author published.  In 8 bits the model itself, computed in double precision, prefers another word
# after 114 tokens (by 0.03 in logits): so far the text has to be the same.
stories=$models/stories260K-f32.gguf
if [ -f "$stories" ]; then
	cat >"$work/published" <<'END'
Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.
Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do. She said, "I want to play with your ball, but I can't find it."
Lily was sad and didn't know what to do. She said, "I'm sorry, Lily. I didn't know what to do."
Lily didn't want to help her mom, so she said, "I'm sorry, mom. I didn't know what to do." Her mom said, "Don't worry, Lily. We
END
	$run quantize "$stories" "$work/q8.gguf" Q8_0 >/dev/null 2>&1 || complain "cannot quantize $stories"
	for model in "$stories" "$work/q8.gguf"; do
		n_bytes=$(wc -c <"$work/published")
		[ "$model" = "$stories" ] || n_bytes=$(grep -o '^.*She said, "I want to play with' "$work/published" | wc -c)
		[ "$model" = "$stories" ] || n_bytes=$((n_bytes + $(head -n 1 "$work/published" | wc -c)))
		for options in '' '--threads 2 --batch 3' '--context 256'; do
			# shellcheck disable=SC2086
			$run generate --model "$model" --tokens 250 --quiet $options >"$work/text" 2>"$work/err" ||
				complain "generate $model $options: $(cat "$work/err")"
			head -c $((n_bytes - 1)) "$work/text" >"$work/begin"
			head -c $((n_bytes - 1)) "$work/published" | cmp -s - "$work/begin" ||
				complain "generate $model $options: not the published text: $(cat "$work/text")"
		done
	done
	$run generate -m "$stories" -n 20 >"$work/text" 2>"$work/err"
	grep -q '^generation .*tokens/s' "$work/err" || complain "generate tells no figures: $(cat "$work/err")"
	for seed in 1 1 2; do
		$run generate -m "$stories" -n 60 --temp 1 --seed $seed --quiet >"$work/seed.$seed.$((n = ${n:-0} + 1))"
	done
	cmp -s "$work/seed.1.1" "$work/seed.1.2" || complain "the same seed gives another text"
	! cmp -s "$work/seed.1.1" "$work/seed.2.3" || complain "another seed gives the same text"

	# A model that was trained on such text predicts it well, its 8-bit form nearly as well.
	$run perplexity -m "$stories" -f "$work/published" -c 32 --save-logits "$work/logits" >"$work/ppl" 2>"$work/err" ||
		complain "perplexity: $(cat "$work/err")"
	awk '$1 == "perplexity" && $2 > 1 && $2 < 4 { ok = 1 } END { exit !ok }' "$work/ppl" ||
		complain "perplexity of its own text: $(cat "$work/ppl")"
	$run perplexity -m "$stories" -f "$work/published" -c 32 --kl "$work/logits" >"$work/ppl" 2>"$work/err"
	awk '/^KL/ && $3 < 1e-4 && $3 > -1e-4 && /100.00 %/ { ok = 1 } END { exit !ok }' "$work/ppl" ||
		complain "divergence from itself: $(cat "$work/ppl" "$work/err")"
	$run perplexity -m "$work/q8.gguf" -f "$work/published" -c 32 --kl "$work/logits" >"$work/ppl" 2>"$work/err"
	awk '/^KL/ && $3 < 0.01 && $3 > 1e-6 { ok = 1 } END { exit !ok }' "$work/ppl" ||
		complain "divergence of Q8_0: $(cat "$work/ppl" "$work/err")"
	head -c 1000 "$work/logits" >"$work/cut"
	refuse 1 'cut short' perplexity -m "$stories" -f "$work/published" -c 32 --kl "$work/cut"
	refuse 1 'not what --save-logits writes' perplexity -m "$stories" -f "$work/published" --kl "$stories" -c 32
	refuse 1 'has room for 256' generate -m "$stories" -c 256 -n 300 --ignore-end
	refuse 1 'at least one window' perplexity -m "$stories" -f "$work/published" -c 500
	refuse 1 'chat_template' chat -m "$stories"
else
	echo "no $stories: its text is not compared" >"$work/skipped"
fi

# Random weights of a model that has a chat template.
$run random --arch qwen2 --size tiny --type Q8_0 --chat-template '<|im_start|>user<|im_end|>' "$work/tiny.gguf" >/dev/null 2>&1 || complain 'cannot make a model'
for form in md csv json; do
	$run bench -m "$work/tiny.gguf" -p 16,32 -n 8 -np 1,3 -d 0,5 -r 2 -t 1 -o $form >"$work/bench.$form" 2>"$work/err" ||
		complain "bench -o $form: $(cat "$work/err")"
done
[ "$(grep -c 'tiny.gguf' "$work/bench.md")" -eq 12 ] || complain "bench: $(cat "$work/bench.md")"
awk -F, 'NF != 17 { exit 1 }' "$work/bench.csv" || complain "bench -o csv: $(cat "$work/bench.csv")"
if command -v jq >/dev/null; then
	jq -e 'length == 12 and all(.avg_ts > 0 and (.samples_s | length == 2))' "$work/bench.json" >/dev/null ||
		complain "bench -o json: $(cat "$work/bench.json")"
fi

printf 'hello\nwho are\\\nyou\n/clear\n\nhello\n' >"$work/lines"
$run chat -m "$work/tiny.gguf" -n 5 --temp 0 <"$work/lines" >"$work/answers" 2>"$work/err" ||
	complain "chat: $(cat "$work/err")"
[ "$(grep -c 'tokens read' "$work/err")" -eq 3 ] || complain "chat: $(cat "$work/err")"
# After /clear the same question has the same answer.
[ "$(sed -n 1p "$work/answers")" = "$(tail -n 1 "$work/answers")" ] || complain "chat: $(cat "$work/answers")"

# Other threads for prompts: the same text, and what the table says.
text=$($run generate -m "$work/tiny.gguf" -n 20 -t 1 -p 'one two three four five six seven eight nine' --quiet)
other=$($run generate -m "$work/tiny.gguf" -n 20 -t 1 -tb 3 -p 'one two three four five six seven eight nine' --quiet)
[ -n "$text" ] && [ "$text" = "$other" ] || complain "--threads-batch changes the text: $other"
$run bench -m "$work/tiny.gguf" -p 16 -n 2 -r 1 -t 1 --threads-batch 2 >"$work/bench" 2>"$work/err" ||
	complain "bench --threads-batch: $(cat "$work/err")"
[ "$(grep -c '| 1, batch 2 |' "$work/bench")" -eq 2 ] || complain "bench --threads-batch: $(cat "$work/bench")"
refuse 2 '--threads-batch 0: must be a number from 1' generate -m x --threads-batch 0
refuse 2 '--cpus-batch 1-: must be a list' perplexity -m x -f x --cpus-batch 1-
refuse 1 "cpus '8190-8191' are 2, for 3 threads for prompts" chat -m x -tb 3 --cpus-batch 8190-8191
# Packed weights that are kept, or cannot be, change nothing else.
$run generate -m "$work/tiny.gguf" -p hello -n 20 --quiet >"$work/text" 2>"$work/err" || complain "generate: $(cat "$work/err")"
for dir in packed packed tiny.gguf; do
	$run generate -m "$work/tiny.gguf" -p hello -n 20 --quiet --cache "$work/$dir" >"$work/again" 2>"$work/err" ||
		complain "generate --cache $dir: $(cat "$work/err")"
	cmp -s "$work/text" "$work/again" || complain "generate --cache $dir: another text"
	[ $dir = tiny.gguf ] || [ ! -s "$work/err" ] || complain "generate --cache: says $(cat "$work/err")"
done
grep -q '^quern-run: packed weights are not kept: .*Not a directory' "$work/err" ||
	complain "generate --cache FILE: says $(cat "$work/err")"
[ "$(ls "$work/packed" | grep -c '^[0-9a-f]*\.packed$')" -eq 1 ] || complain "--cache keeps $(ls "$work/packed")"

# Texts that are longer than the context.
long=$(seq -s ' ' 300)
refuse 1 'has room for 64: --shift' generate -m "$work/tiny.gguf" -c 64 -p "$long"
refuse 1 'has room for 64: --shift' generate -m "$work/tiny.gguf" -c 64 -p 'hello' -n 100 --ignore-end
$run generate -m "$work/tiny.gguf" -c 32 -p 'hello' -n 100 --ignore-end --shift >"$work/text" 2>"$work/err" ||
	complain "generate --shift: $(cat "$work/err")"
grep -q '^generation  *100 tokens' "$work/err" || complain "generate --shift: $(cat "$work/err")"
# Only the end of a long prompt tells what follows it.
for head in hello 'another beginning'; do
	$run generate -m "$work/tiny.gguf" -c 32 -p "$head $long" -n 40 --ignore-end --shift --quiet 2>&1 |
		tee "$work/text.${head%% *}" | grep -q . || complain "generate --shift: says nothing"
done
cmp -s "$work/text.hello" "$work/text.another" || complain 'generate --shift: what is forgotten has changed the text'
for context in 1 2 3 4 5; do
	$run generate -m "$work/tiny.gguf" -c $context -p "$long" -n 12 --ignore-end --shift --quiet >"$work/text" 2>&1 ||
		complain "generate --shift -c $context: $(cat "$work/text")"
done
printf '%s\nhello\n' "$long" >"$work/lines"
for shift in '' --shift; do
	# shellcheck disable=SC2086
	$run chat -m "$work/tiny.gguf" -c 64 -n 5 --temp 0 $shift <"$work/lines" >"$work/answers" 2>"$work/err" ||
		complain "chat $shift: $(cat "$work/err")"
	grep -q "^quern-run: th.* has [0-9]* tokens, more than 56 of a context of 64" "$work/err" &&
		[ "$(grep -c 'tokens read' "$work/err")" -eq 1 ] || complain "chat $shift: $(cat "$work/err")"
done
for i in 1 2 3 4 5 6 7 8 9 10; do
	echo hello
done >"$work/lines"
$run chat -m "$work/tiny.gguf" -c 64 -n 5 --temp 0 <"$work/lines" >"$work/answers" 2>"$work/err"
grep -q '^quern-run: the conversation has .*--shift forgets' "$work/err" || complain "chat: $(cat "$work/err")"
$run chat -m "$work/tiny.gguf" -c 64 -n 5 --temp 0 --shift <"$work/lines" >"$work/answers" 2>"$work/err"
[ "$(grep -c 'tokens read' "$work/err")" -eq 10 ] && ! grep -q '^quern-run' "$work/err" ||
	complain "chat --shift: $(cat "$work/err")"

refuse 2 'needs --model' generate
refuse 2 'needs --model' bench
refuse 2 "'--what'" generate --what
refuse 2 'lacks its value' chat --system
refuse 2 'from 0 to 1' generate -m x --top-p 2
refuse 2 'needs the name of a folder' bench -m x --cache ''
refuse 2 'must be f16 or q8_0' bench -m x --cache-type f32
refuse 2 'numbers from 1 to' bench -m x -t 1,0
refuse 2 'needs --file' perplexity -m x
refuse 1 'cannot open' generate -m "$work/none.gguf"
refuse 1 'GGUF' generate -m "$0"
refuse 1 'made for 1 to' generate -m "$work/tiny.gguf" -c 1000000000

exit $bad
