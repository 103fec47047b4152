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
grep -q '3 cases, [0-3] below 60 % of the nearest tuned shape' "$dir/summary" ||
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

# ---- the plot ----

if command -v gnuplot >/dev/null; then
	gnuplot -c "$source/tests/sweep.gp" "$dir/rows.tsv" "$dir/plot.svg" 2>"$dir/errors" &&
		grep -q '</svg>' "$dir/plot.svg" && [ ! -s "$dir/errors" ] ||
		complain "sweep.gp: $(cat "$dir/errors")"
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
for ratio in 0 1.01 -1 nan '' 60% ' 1'; do
	refused 2 'must be a fraction above 0 and up to 1' --min-ratio "$ratio"
done
refused 2 'needs the name of a file' --out ''
refused 1 'cannot write .*/no/such: ' --out "$dir/no/such"
[ ! -e /dev/full ] || refused 1 'cannot write /dev/full: ' --cases 1 --out /dev/full

exit $bad
