#!/bin/sh
# repeat.sh QUERN [OPTION]...: tunes one case ten times, each time by other random numbers, then lets all winners and
# the default run against each other, 51 rounds.  A winner agrees with the others unless it is shown to be
# more than 1.5 % slower than the best of them.  A benchmark: it measures this machine, for minutes.
#
# Files stay in REPEAT_DIR (obj/repeat); what is there is not measured again.
set -eu
quern=$1
shift
[ $# != 0 ] || set -- -b normal -f w4g32 -s 4096x4096 -t 1
dir=${REPEAT_DIR:-obj/repeat} n=${REPEAT_RUNS:-10} runs=
mkdir -p "$dir"
for seed in $(seq "$n"); do
	"$quern" tune "$@" --seed "$seed" -o "$dir/$seed.yaml" -w "$dir/work" >"$dir/$seed.txt"
	awk -v seed="$seed" '$1 == "kernel:" { k = $2 } $1 == "speedup:" { s = $2 } $1 == "tried:" { t = $2 }
		$1 == "seconds:" { u = $2 }
		END { printf "run %s: %s, %.3fx the default, %s kernels tried, %.0f s\n", seed, k, s, t, u }' \
		"$dir/$seed.yaml"
	runs="$runs --seed-from $dir/$seed.yaml"
done
# shellcheck disable=SC2086
"$quern" tune "$@" --strategy duel $runs --fresh -o "$dir/duel.yaml" -w "$dir/work" >"$dir/duel.txt"
cat "$dir/duel.txt"
awk -v n="$n" '
	FILENAME ~ /duel.txt$/ {
		name = $1
		sub(/^ *[^ ]+/, "")
		gsub(/[(),x]/, " ")
		# now: SPEED the defaults speed LOW to HIGH TIME the bests time LOW to HIGH
		if ($4 == "speed") { slower[name] = $7 < 1; behind[name] = $11 == "time" && $12 > 1.015 }
		next
	}
	$1 == "kernel:" { agree += !behind[$2]; lost += slower[$2]; if (!seen[$2]++) kernels++ }
	END { printf "agree=%d/%d lost=%d kernels=%d\n", agree, n, lost, kernels }' \
	"$dir/duel.txt" $(seq -f "$dir/%g.yaml" "$n")
