#!/bin/sh
#
# records.sh: results files that are split, merged, checked, kept and exported, with a probe that pretends.
#
# Shards find what an undivided run finds, merging does not depend on order or number, and only what
# templates have changed is measured again.  Needs srcdir, QUERN (the program) and cc.

set -u

. "${srcdir:?}/tests/fake.sh"

fake_device >"$dir/fake.yaml"
cat >"$dir/config.yaml" <<END
quern: config
schema: 1
formats: [w4g32, w1g128, w8g32]
shapes: [64x64, 96x128]
tokens: [1, 8]
threads: [1, all]
acts: [a8g32]
families: [dot, lut, gemm]
isas: native
END
cd "$dir" || exit 1

# tune OUTPUT [OPTION]...: its output goes to out, a line for each time that was measured to log.
tune() {
	output=$1
	shift
	: >log
	FAKE_LOG=$dir/log "$QUERN" tune -b 100 -d "$dir/fake.yaml" -o "$output" "$@" config.yaml >out 2>&1
}

# run OUTPUT [OPTION]...: one that has to succeed.
run() {
	tune "$@" || fail "tune $*: exit $?: $(tail -n 3 out)"
}

# merge OUT FILE...
merge() {
	merged=$1
	shift
	"$QUERN" merge -o "$merged" "$@" >out 2>&1 || fail "merge $*: exit $?: $(cat out)"
}

same() {
	cmp -s "$1" "$2" || fail "$3: $(diff "$1" "$2" | head -n 5)"
}

# refused WORDS STATUS COMMAND...: it has to fail so, and say so.
refused() {
	words=$1 wanted=$2
	shift 2
	"$@" >out 2>&1
	status=$?
	[ $status = "$wanted" ] || fail "$*: exit $status, not $wanted"
	grep -q -- "$words" out || fail "$*: does not say '$words' but: $(cat out)"
}

# The entries, whatever runs they are of.
entries() {
	sed -n '/^entries/,$p' "$1" | grep -v '^  run: '
}

# ---- shards ----

run whole.yaml
[ "$(grep -c '^  kernel: ' whole.yaml)" = 24 ] || fail 'whole: not 24 winners'
for i in 1 2 3; do
	run part$i.yaml --shard $i/3
	grep -q "^  shard: $i/3" part$i.yaml || fail "part$i: does not say which shard it is"
	[ "$(grep -c '^  kernel: ' part$i.yaml)" = 8 ] || fail "part$i: not a third of the winners"
	[ -d ".quern-work-$i-of-3" ] || fail "part$i: has no work folder of its own"
done
merge all.yaml part1.yaml part2.yaml part3.yaml
grep -q '^complete: true' all.yaml || fail 'all shards do not make a complete file'
entries all.yaml >all.entries
entries whole.yaml >whole.entries
same all.entries whole.entries 'shards have other winners than the undivided run'
"$QUERN" gen all.yaml -o c-all || fail 'what was merged cannot be generated'

# More shards than units; a journal belongs to one shard; the names of files.
run empty.yaml --shard 7/9
grep -q '^complete: true' empty.yaml && grep -q '^entries: \[\]' empty.yaml || fail 'empty: not so'
run half.yaml --shard 1/2
rm half.yaml
run half.yaml --shard 1/3
grep -q 'another shard' out || fail 'a journal is taken up by another shard'
mkdir there
(cd there && "$QUERN" tune -b 100 -d ../fake.yaml --shard 2/9 -f w4g32 ../config.yaml >../out 2>&1) ||
	fail "there: $(tail -n 3 out)"
[ -e there/results/fake-cpu-1.shard-2-of-9.yaml ] || fail "there: no such file: $(ls there/results)"
for wrong in 0/3 4/3 1 1/ /3 1/10000 a/b 1/3x ''; do
	refused shard 2 "$QUERN" tune --shard "$wrong"
done
refused 'exclude each other' 2 "$QUERN" tune -e cortex-a76 --shard 1/2

# ---- merging ----

for i in 1 2 3; do
	merge self.yaml part$i.yaml part$i.yaml
	same self.yaml part$i.yaml "part$i merged with itself"
done
merge other.yaml part3.yaml part1.yaml part2.yaml part1.yaml
same other.yaml all.yaml 'the order or number of files matters'
merge left.yaml part1.yaml part2.yaml
grep -q '^complete: false' left.yaml || fail 'two shards of three are complete'
grep -q '^  missing: 3/3' left.yaml || fail 'the missing shard is not named'
merge left.yaml left.yaml part3.yaml
merge right.yaml part2.yaml part3.yaml
merge right.yaml part1.yaml right.yaml
same left.yaml right.yaml 'the grouping matters'
same left.yaml all.yaml 'merging in steps gives something else'
merge self.yaml all.yaml all.yaml
same self.yaml all.yaml 'merged with itself'
tried=$(sed -n 's/^  tried: //p' all.yaml)
sum=$(($(sed -n 's/^  tried: /+/p' part1.yaml part2.yaml part3.yaml | tr -d '\n')))
[ "$tried" = "$sum" ] || fail "tried: $tried is not the sum of the shards, $sum"

# Of two entries for one case the one with more samples stays, then the faster one.
sed 's/^  samples: 25/  samples: 9/; s/^  median_us: .*/  median_us: 1/; s/^  seconds: .*/  seconds: 9/' part1.yaml >few.yaml
sed 's/^  median_us: .*/  median_us: 2/; s/^  seconds: .*/  seconds: 8/' part1.yaml >fast.yaml
merge one.yaml few.yaml part1.yaml fast.yaml
grep -q 'median_us: 1$' one.yaml && fail 'few samples win'
[ "$(grep -c '^  median_us: 2$' one.yaml)" = 8 ] || fail 'the faster entries do not win'
merge two.yaml fast.yaml few.yaml
merge two.yaml two.yaml part1.yaml
same one.yaml two.yaml 'the stronger entry depends on the order'
sed 's/dram_gbps: [0-9.]*/dram_gbps: 99/' part1.yaml >roof.yaml
merge one.yaml part1.yaml roof.yaml
[ "$(grep -c 'dram_gbps: 99,' one.yaml)" = 2 ] || fail 'the larger ceiling does not stay'

# What does not belong together.
sed 's/^  cpu: .*/  cpu: Other/' part2.yaml >cpu.yaml
refused "part1.yaml and cpu.yaml differ in 'device: cpu'" 1 "$QUERN" merge -o no.yaml part1.yaml cpu.yaml
sed 's/^  version: fake.*/  version: fake 2.0/' part2.yaml >compiler.yaml
refused "'compiler: version'" 1 "$QUERN" merge -o no.yaml part1.yaml compiler.yaml
sed 's/^  cores: .*/  cores: 4/' part2.yaml >cores.yaml
refused "'device: cores' (2 and 4)" 1 "$QUERN" merge -o no.yaml part1.yaml cores.yaml
sed 's/{dot: [0-9a-f"]*/{dot: abc/' part1.yaml >old.yaml
refused 'made from different templates' 1 "$QUERN" merge -o no.yaml part1.yaml old.yaml
merge some.yaml part2.yaml old.yaml	# no case is in both
grep -q '^    dot: \|^  families:' some.yaml && fail 'families that differ are said of the whole'
refused 'config.yaml:1: this is not a results file' 1 "$QUERN" merge -o no.yaml part1.yaml config.yaml
refused 'name the results files' 2 "$QUERN" merge -o no.yaml
refused '-o must name' 2 "$QUERN" merge part1.yaml
[ ! -e no.yaml ] || fail 'a refused merge writes a file'
sed '/^  run: /d' all.yaml >runless.yaml
refused 'runless.yaml:[0-9]*: the entry has no .run.' 1 "$QUERN" merge -o no.yaml runless.yaml
sed 's/^  run: .*/  run: nobody/' all.yaml >nobody.yaml
refused "nobody.yaml:[0-9]*: the protocol lists no such 'run'" 1 "$QUERN" merge -o no.yaml nobody.yaml

# ---- kept entries ----

cp whole.yaml before.yaml
# kept N: the last run kept N cases and measured nothing.
kept() {
	grep -q "^$1 cases of whole.yaml are kept" out || fail "not $1 cases are kept: $(head -n 9 out)"
}
measured() {
	cut -d ' ' -f 1,4- log | sed 's/^[a-z]*_\([^_]*\)_[^ ]*.* n=\([0-9]*\) .*/\1 n\2/' | sort -u | tr '\n' ' '
}
run whole.yaml
kept 24
[ ! -s log ] || fail 'measures what the record has'
same whole.yaml before.yaml 'a record that answers is changed'
run whole.yaml -b 20 -f w1g128,w4g32 -t 1
kept 8
run whole.yaml --fresh
grep -q kept out && fail '--fresh keeps'
[ -s log ] || fail '--fresh measures nothing'
cp before.yaml whole.yaml

# More is measured where more is asked for, and whole searches only.
for more in '-b 101' '--seed 2' '-s 64x64,96x128,32x32' '--seed-from before.yaml'; do
	# shellcheck disable=SC2086
	run whole.yaml $more
	grep -q kept out && fail "$more: keeps"
	[ -s log ] || fail "$more: measures nothing"
	cp before.yaml whole.yaml
done
run whole.yaml -f w4g32,w2g64
kept 8
[ "$(measured)" = 'w2g64 n1 w2g64 n8 ' ] || fail "another format: measured $(measured)"
[ "$(grep -c '^  kernel: ' whole.yaml)" = 16 ] || fail 'kept and new winners are not 16'
grep -q '^complete: true' whole.yaml || fail 'kept and new winners are not complete'
merge self.yaml whole.yaml whole.yaml
same self.yaml whole.yaml 'kept and new winners merged with themselves'
run whole.yaml -f w4g32,w2g64
kept 16
cp before.yaml whole.yaml

# What merged shards know is kept, too.
cp all.yaml merged.yaml
run merged.yaml
[ ! -s log ] || fail 'measures what merged shards have'

merge left.yaml part1.yaml part2.yaml
run left.yaml
grep -q '^16 cases of left.yaml are kept' out || fail 'what two shards of three know is not kept'
grep -q '^complete: true' left.yaml || fail 'shards that are completed by a run are not complete'
[ "$(grep -c '^  kernel: ' left.yaml)" = 24 ] || fail 'shards that are completed by a run: not 24 winners'

# Work under load is another question; lossy kernels stand beside exact ones.
FAKE_STATE=$dir/state
export FAKE_STATE
run load.yaml -f w4g32 --sustained 1
run load.yaml -f w4g32 --sustained 1
grep -q '^8 cases of load.yaml are kept' out || fail 'load: not kept'
run load.yaml -f w4g32
grep -q kept out && fail 'load: answers what was asked without load'
unset FAKE_STATE
cp config.yaml exact.yaml
echo 'max_nmse: 1e-4' >>config.yaml
run lossy.yaml -f w1g128
grep -q '^  lossy: true' lossy.yaml || fail 'lossy: no entry says so'
run lossy1.yaml -f w1g128 --shard 1/2
run lossy2.yaml -f w1g128 --shard 2/2
merge lossy3.yaml lossy2.yaml lossy1.yaml
entries lossy.yaml >lossy.entries
entries lossy3.yaml >lossy3.entries
same lossy3.entries lossy.entries 'lossy: shards have other winners'
run lossy.yaml -f w1g128
grep -q '^8 cases of lossy.yaml are kept' out || fail 'lossy: not kept'
cp exact.yaml config.yaml
run lossy.yaml -f w1g128
grep -q kept out && fail 'lossy: a search with lossy kernels answers one without'

# Templates of one family: searches that it has no kernels for stay as they are.
mkdir home
cp -r "$QUERN_HOME/gen" "$QUERN_HOME/templates" "$QUERN_HOME/runtime" home
mkdir home/tuner home/results
cp "$QUERN_HOME"/tuner/*.[ch] home/tuner
cp "$QUERN_HOME/results/default.yaml" home/results
QUERN_HOME=$dir/home
run whole.yaml
kept 24
"$QUERN" check whole.yaml >out || fail "check: $(cat out)"
grep -q '^whole.yaml: valid, 24 entries$' out || fail "check says: $(cat out)"
printf '/* A line more. */\n' >>home/templates/gemm.c.tmpl
run whole.yaml
kept 12
[ "$(measured)" = 'w1g128 n8 w4g32 n8 w8g32 n8 ' ] || fail "gemm: measured $(measured)"
run whole.yaml
kept 24
"$QUERN" check before.yaml >out && fail 'check: nothing is stale'
grep -q '^before.yaml:[0-9]*: stale: .* n8 .* gemm_.*: its C has changed' out || fail "check says: $(cat out)"
grep -q 'stale: .* [dl][ou]t_' out && fail "check: kernels of others are stale: $(cat out)"
"$QUERN" check whole.yaml >out || fail "check: stale after it was tuned anew: $(cat out)"
printf '/* A line more. */\n' >>home/templates/panel.c.tmpl
run whole.yaml
grep -q kept out && fail 'a shared template: keeps'
cp before.yaml whole.yaml
printf -- '-- A line more.\n' >>home/gen/registry.lua
QUERN_HOME=$(realpath "$srcdir")
sed -i 's/KU: 1,/KU: 77,/' before.yaml
refused 'stale: .*no longer legal' 1 "$QUERN" check before.yaml
echo '  wrong' >>before.yaml
refused '^before.yaml:[0-9]*: ' 1 "$QUERN" check before.yaml whole.yaml
grep -q '^whole.yaml: valid' out || fail 'check: one wrong file hides the next'
refused 'name the results files' 2 "$QUERN" check

# ---- exporting ----

# exported FILE: is it what T4's results schema demands?
cat >t4.py <<'END'
import json, re, sys

root = json.load(open(sys.argv[1]))
assert re.fullmatch(r"\d+\.\d+\.\d+", root["schema_version"])
assert root["results"]
kinds = {"timeout", "compile", "runtime", "correctness", "constraints", "correct"}
seen = set()
for item in root["results"]:
    assert isinstance(item["configuration"], dict) and item["configuration"]["family"]
    assert item["invalidity"] in kinds
    assert item["correctness"] == (item["invalidity"] == "correct")
    assert item["objectives"] == ["time"]
    names = [one["name"] for one in item["measurements"]]
    assert all(isinstance(one["value"], (int, float)) and isinstance(one["unit"], str)
               for one in item["measurements"])
    assert item["invalidity"] != "correct" or "time" in names
    times = item["times"]
    assert all(isinstance(ms, float) and ms > 0 for ms in times.get("runtimes", []))
    for name in "compilation_time", "framework", "search_algorithm", "validation":
        assert isinstance(times.get(name, 0), (int, float))
    key = json.dumps(item["configuration"], sort_keys=True), item["source"], item["invalidity"]
    assert key not in seen, key
    seen.add(key)
    assert item["source"] < len(root["files"])
for kind in sys.argv[2:]:
    assert any(item["invalidity"] == kind for item in root["results"]), kind
END
exported() {
	! command -v python3 >/dev/null || python3 t4.py "$@" >out 2>&1 || fail "export: $(tail -n 2 out)"
}
export_to() {
	json=$1
	shift
	"$QUERN" export -o "$json" "$@" >out 2>&1 || fail "export $*: exit $?: $(cat out)"
}
n_runtimes() {
	sed -n '/"runtimes": \[/,/\]/p' "$1" | grep -c '^ *[0-9.e-]*,*$'
}
FAKE_FAULTS=1 FAKE_BAD=_r4k2 run faults.yaml -w faults.work -f w4g32 -s 64x64 -t 1
export_to faults.json faults.yaml
exported faults.json correct compile runtime
grep -q '"schema_version": "1.0.0"' faults.json || fail 'export: no version of the schema'
grep -q '"KU": [1-9]' faults.json || fail 'export: no parameters by name'
winner=$(sed -n 's/^  kernel: //p' faults.yaml | head -n 1)
grep -q "\"kernel\": \"$winner\"" faults.json || fail "export: lacks the winner $winner"
times=$(grep '"question":"time [^"]*"' faults.journal | grep '"answer":"ok ' | grep -v ' \(calls\|warm\) ')
[ "$(n_runtimes faults.json)" = "$(echo "$times" | grep -vc ' again[12] ')" ] ||
	fail "export: $(n_runtimes faults.json) samples, not those of the journal"
# Without the journal: winners and finalists.
cp faults.yaml alone.yaml
export_to alone.json alone.yaml
exported alone.json correct
[ "$(n_runtimes alone.json)" = 0 ] || fail 'export: samples from nowhere'
grep -q "\"kernel\": \"$winner\"" alone.json || fail "export: lacks the winner $winner without its journal"
# A journal of another run is left out; several files are told apart.
sed 's/^  templates: .*/  templates: other/' faults.yaml >other.yaml
cp faults.journal other.journal
export_to other.json other.yaml
grep -q 'other.journal is of another run' out || fail 'export: takes the journal of another run'
export_to both.json faults.yaml all.yaml
exported both.json correct
sed -i '3s/$/}/' other.journal
sed -i 's/^  templates: other.*/'"$(grep '^  templates: ' faults.yaml)/" other.yaml
refused 'other.journal:3: ' 1 "$QUERN" export -o no.json other.yaml
refused 'holds no measurements' 1 "$QUERN" export -o no.json "$QUERN_HOME/results/cortex-a76.yaml"
refused 'holds no measurements' 1 "$QUERN" export -o no.json "$QUERN_HOME/results/default.yaml"
refused 'config.yaml:1: this is not a results file' 1 "$QUERN" export -o no.json all.yaml config.yaml
refused '-o must name' 2 "$QUERN" export all.yaml
refused 'name the results files' 2 "$QUERN" export -o no.json
[ ! -e no.json ] && [ ! -e no.json.tmp ] || fail 'a refused export writes a file'
refused 'cannot write' 1 "$QUERN" export -o home all.yaml

# Texts of a family may be made from its own files and from those of no family.
for family in dot lut gemm; do
	for other in dot lut gemm; do
		[ $family = $other ] || ! grep -n "include(\"$other[._]\|require(\"$other\")" \
			"$QUERN_HOME/templates/$family".* "$QUERN_HOME/templates/${family}_"* 2>/dev/null ||
			fail "templates of $family are made from those of $other: its hash does not know"
	done
done

exit $failures
