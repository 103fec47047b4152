#!/bin/sh
#
# sweep.sh: what `quern-run sweep` writes and refuses; no time that it measures is judged.  Runs in a build
# folder.

set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
source=${srcdir:-.}
bad=0

complain() {
	echo "sweep.sh: $*"
	bad=1
}

sweep() {
	${RUN-} ./quern-run sweep "$@"
}

# ---- rows ----

sweep --cases 3 --seed 1 --out "$dir/rows.tsv" >"$dir/summary" 2>"$dir/errors" ||
	complain "exit $? for three cases"
[ ! -s "$dir/errors" ] || complain "complains: $(cat "$dir/errors")"
grep -q '^w4g32, own activations, .* 3 cases, [0-3] below 60 % of the nearest tuned shape' "$dir/summary" ||
	complain "no summary: $(cat "$dir/summary")"
head -n 1 "$dir/rows.tsv" | grep -q '^# quern-run sweep: .*seed 1.* GB/s' || complain 'no first line'
awk -F'\t' '
	/^#/ { next }
	!n_columns { n_columns = NF; for (i = 1; i <= NF; i++) at[$i] = i; next }
	{
		rows++
		ok = NF == n_columns
		for (i = 1; i <= NF; i++)
			if ($i == "" || $i ~ /nan|inf/) ok = 0
		m = $at["M"]; k = $at["K"]; n = $at["N"]
		if (m < 1 || m > 12000 || k < 32 || k > 14000 || n < 1 || n > 64) ok = 0
		split("weight_bytes median_us gbps gmacs dram_gbps int8_gmacs reference_M reference_K " \
			"reference_N reference_us attempts efficiency_percent reference_percent " \
			"ratio_percent", positive, " ")
		for (i in positive)
			if (!(positive[i] in at) || !($at[positive[i]] > 0)) ok = 0
		ratio = 100 * $at["efficiency_percent"] / $at["reference_percent"]
		if (ratio - $at["ratio_percent"] > 1 || $at["ratio_percent"] - ratio > 1) ok = 0
		if (!ok) print "sweep.sh: an odd row: " $0
	}
	END { if (rows != 3) print "sweep.sh: not 3 rows but " rows + 0 }
' "$dir/rows.tsv" >"$dir/found"
[ ! -s "$dir/found" ] || complain "$(cat "$dir/found")"

# The same seed gives the same shapes, however they are written; another seed gives others.
sweep --cases 3 --seed 1 --json --strict --min-ratio 1 >"$dir/rows.json" 2>"$dir/summary"
status=$?
awk -F'\t' '!/^#/ && $2 != "M" { print $2, $3, $4 }' "$dir/rows.tsv" >"$dir/shapes"
object='s/^{"format": "w4g32", "M": \([0-9]*\), "K": \([0-9]*\), "N": \([0-9]*\), .*, "ratio_percent": [0-9.]*}$/'
sed "$object"'\1 \2 \3/' "$dir/rows.json" | cmp -s - "$dir/shapes" ||
	complain "other shapes with --json: $(cat "$dir/rows.json")"
grep -q '3 cases' "$dir/summary" || complain 'no summary beside rows on standard output'
below=$(sed -n 's/.* cases, \([0-9]*\) below.*/\1/p' "$dir/summary")
[ $status = $((${below:-0} > 0)) ] || complain "--strict: exit $status with $below below"
sweep --cases 1 --seed 2 2>/dev/null | awk -F'\t' '!/^#/ && $2 != "M" { print $2, $3, $4 }' >"$dir/other"
[ -s "$dir/other" ] || complain 'no row on standard output'
head -n 1 "$dir/shapes" | cmp -s - "$dir/other" && complain 'seeds 1 and 2 give the same shapes'

# ---- formats ----

# Cases are dealt in turn: the shapes of one format, in several.
sweep --cases 3 --seed 1 --format w2g64,w4g32,w2g64 --act a8r --min-ratio 1 --out "$dir/dealt.tsv" \
	>"$dir/summary" 2>"$dir/errors" || complain "exit $? for two formats"
[ ! -s "$dir/errors" ] || complain "two formats: $(cat "$dir/errors")"
awk -F'\t' '!/^#/ && $2 != "M" { print $2, $3, $4 }' "$dir/dealt.tsv" | cmp -s - "$dir/shapes" ||
	complain "other shapes in two formats: $(cat "$dir/dealt.tsv")"
head -n 1 "$dir/dealt.tsv" | grep -q '^# quern-run sweep: w2g64 w4g32, a8r; seed 1, 3 cases, ' ||
	complain "two formats: $(head -n 1 "$dir/dealt.tsv")"
found=$(awk -F'\t' '!/^#/ && $2 != "M" { printf "%s %s ", $1, $6 }' "$dir/dealt.tsv")
[ "$found" = 'w2g64 a8r w4g32 a8r w2g64 a8r ' ] || complain "dealt so: $found"

# What the summary says is what the rows say, in which a ratio just below the limit looks like the limit.
awk '
	FNR == 1 { file++ }
	file == 1 && /^#/ { next }
	file == 1 && !ratio_at { ratio_at = NF; next }
	file == 1 {
		ratios[$1, ++n[$1]] = $NF
		below[$1] += $NF < 100
		at_limit[$1] += $NF == 100
	}
	file == 2 && FNR == 1 {
		if (!/^2 formats, a8r, threads 1, seed 1: 3 cases, [0-3] below 100 % of the nearest /)
			print "sweep.sh: an odd sum: " $0
		sum = $10
	}
	file == 2 && FNR == 2 && !/^  format +cases +median +least +below 100 %$/ {
		print "sweep.sh: odd names of a summary: " $0
	}
	file == 2 && FNR > 2 && ($1 in n) {
		seen++
		sum -= $7
		low = high = ratios[$1, 1]
		for (i = 1; i <= n[$1]; i++) {
			if (ratios[$1, i] < low) low = ratios[$1, i]
			if (ratios[$1, i] > high) high = ratios[$1, i]
		}
		# Of one case or of two the median is the larger one.
		if ($2 != n[$1] || $3 - high > 0.51 || high - $3 > 0.51 || $5 - low > 0.51 ||
			low - $5 > 0.51 || $7 < below[$1] || $7 > below[$1] + at_limit[$1])
			print "sweep.sh: not what the rows say: " $0
	}
	END { if (seen != 2 || sum != 0) print "sweep.sh: " seen + 0 " formats, the sum is off by " sum }
' "$dir/dealt.tsv" "$dir/summary" >"$dir/found"
[ ! -s "$dir/found" ] || complain "$(cat "$dir/found" "$dir/summary")"

# ---- the plot ----

if command -v gnuplot >/dev/null; then
	for tsv in rows dealt; do
		gnuplot -c "$source/tests/sweep.gp" "$dir/$tsv.tsv" "$dir/plot.svg" 2>"$dir/errors" &&
			grep -q '</svg>' "$dir/plot.svg" && [ ! -s "$dir/errors" ] ||
			complain "sweep.gp: $(cat "$dir/errors")"
	done
fi

# ---- refusals ----

# refused STATUS WORDS OPTION...: one sentence that has the words.
refused() {
	want=$1 words=$2
	shift 2
	sweep "$@" >"$dir/out" 2>"$dir/errors"
	status=$?
	[ $status = "$want" ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/errors")" -eq 1 ] &&
		grep -q "^quern-run: .*$words" "$dir/errors" ||
		complain "$*: exit $status, $(cat "$dir/out" "$dir/errors")"
}
refused 2 "'--shape' is no option" --shape 64x64
refused 2 "'7' is no option" 7
refused 2 "'--cases' is no option or lacks its value" --json --cases
refused 2 '--cases 0: must be a number from 1 to 100000' --cases 0
refused 2 '--cases 3x: must be' --cases 3x
refused 2 '--seed -1: must be a number' --seed -1
refused 2 '--threads 1,2: must be a number from 1 to 256' --threads 1,2
refused 2 '--format w4g32,w4g33: there is no such format' --format w4g32,w4g33
refused 2 '--format w4g32,: there is no such format' --format w4g32,
refused 2 "'--act' is no option or lacks its value" --act
refused 2 '--cpus 4-: must be a list such as 4-7' --cpus 4-
refused 2 '--cpus 1,1: must be a list' --cpus 1,1
refused 2 '--loose needs --cpus' --loose
refused 1 'cannot pin a thread to cpu 8191' --cpus 8191
refused 1 "cpus '8191': none is online" --cpus 8191 --loose
refused 1 "cpus '8190-8191' are 2, for 3 threads" --cpus 8190-8191 --threads 3
refused 2 '--act a8: must be own, a8g32, a8g256 or a8r' --act a8
refused 2 '--cases 1: must be at least 2, one for each format' --cases 1 --format w4g32,w2g64
refused 2 '--cases 34: must be at least 35, one for each format' --format all --cases 34
for ratio in 0 1.01 -1 nan '' 60% ' 1'; do
	refused 2 'must be a fraction above 0 and up to 1' --min-ratio "$ratio"
done
refused 2 'needs the name of a file' --out ''
refused 1 'cannot write .*/no/such: ' --out "$dir/no/such"
[ ! -e /dev/full ] || refused 1 'cannot write /dev/full: ' --cases 1 --out /dev/full

exit $bad
