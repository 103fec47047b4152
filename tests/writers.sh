#!/bin/sh
#
# writers.sh: what quern-run writes, on full disks, in folders that cannot be written to, and killed: the old file stays, or
# none appears, and a sentence says why.  Runs in a build folder.

set -u
dir=$(mktemp -d) || exit 1
mounted=
clean_up() {
	[ -z "$mounted" ] || umount "$mounted"
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
bad=0

complain() {
	echo "writers.sh: $*"
	bad=1
}

run() {
	${RUN-} ./quern-run "$@"
}

# make WRITER SEED FILE: one of three commands that write a file.
make() {
	case $1 in
	random) run random --arch llama --type F32 --seed "$2" "$3" ;;
	quantize) run quantize "$dir/from.$2.gguf" "$3" Q8_0 ;;
	perplexity) run perplexity -m "$dir/from.$2.gguf" -f "$dir/text" -c 32 -t 1 --save-logits "$3" ;;
	esac >"$dir/out" 2>"$dir/errors"
}

for seed in 1 2; do
	make random $seed "$dir/from.$seed.gguf" || complain "random: $(cat "$dir/errors")"
done
seq 300 >"$dir/text"

# fails WHAT WRITER FOLDER REASON: a new file does not appear, an old one stays, and nothing else is there.
fails() {
	for file in "$3/old" "$3/new"; do
		make "$2" 2 "$file" && complain "$1: $2 succeeds"
		grep -q "^quern-run: .*/$(basename "$3")/$(basename "$file"): .*$4" "$dir/errors" ||
			complain "$1: $2 says: $(cat "$dir/errors")"
		[ "$(grep -c . "$dir/errors")" = 1 ] || complain "$1: $2 says more than a sentence"
	done
	cmp -s "$3/old" "$dir/$2.1" || complain "$1: $2 has changed the old file"
	[ "$(ls "$3")" = old ] || complain "$1: $2 leaves $(ls "$3" | grep -vx old)"
}

for writer in random quantize perplexity; do
	for seed in 1 2; do
		make $writer $seed "$dir/$writer.$seed" || complain "$writer: $(cat "$dir/errors")"
	done
	cmp -s "$dir/$writer.1" "$dir/$writer.2" && complain "$writer: no difference between two models"

	# Files may not be longer than half of this one.
	mkdir "$dir/short"
	cp "$dir/$writer.1" "$dir/short/old"
	(
		ulimit -f $(($(wc -c <"$dir/$writer.1") / 1024))
		trap '' XFSZ
		fails 'short files' $writer "$dir/short" 'cannot write: File too large'
		exit $bad
	) || bad=1
	rm -r "$dir/short"

	# A disk with room for a file and a half.
	mkdir "$dir/full"
	if [ "$(id -u)" -eq 0 ] &&
		mount -t tmpfs -o size=$(($(wc -c <"$dir/$writer.1") * 3 / 2)) none "$dir/full" 2>/dev/null; then
		mounted=$dir/full
		cp "$dir/$writer.1" "$dir/full/old"
		fails 'full disk' $writer "$dir/full" 'cannot write: No space left on device'
		rm "$dir/full/old"
		make $writer 2 "$dir/full/new" || complain "$writer: with room again: $(cat "$dir/errors")"
		cmp -s "$dir/full/new" "$dir/$writer.2" || complain "$writer: with room again, another file"
		mv "$dir/full/new" "$dir/full/old"
		cp "$dir/$writer.1" "$dir/full/old" # in its place, for there is no room for two
		mount -o remount,ro "$mounted"
		fails 'read-only disk' $writer "$dir/full" 'Read-only file system'
		umount "$mounted"
		mounted=
	fi
	rm -r "$dir/full"

	# Root may write everywhere.
	mkdir "$dir/shut"
	cp "$dir/$writer.1" "$dir/shut/old"
	chmod 555 "$dir/shut"
	[ "$(id -u)" -eq 0 ] || fails 'a folder that is shut' $writer "$dir/shut" 'Permission denied'
	chmod 755 "$dir/shut"
	rm -r "$dir/shut"
	mkdir "$dir/folder"
	make $writer 1 "$dir/folder" && complain "$writer writes over a folder"
	grep -q "^quern-run: .*/folder: " "$dir/errors" || complain "$writer over a folder says: $(cat "$dir/errors")"
	rmdir "$dir/folder" || complain "$writer leaves something in a folder that it could not replace"

	# Killed at any moment.
	mkdir "$dir/killed"
	cp "$dir/$writer.1" "$dir/killed/old"
	for moment in 0 0.002 0.005 0.01 0.02 0.03 0.04 0.05 0.07 0.1; do
		make $writer 2 "$dir/killed/old" &
		shell=$!
		sleep $moment
		pkill -KILL -P $shell 2>/dev/null
		wait $shell 2>/dev/null
		cmp -s "$dir/killed/old" "$dir/$writer.1" || cmp -s "$dir/killed/old" "$dir/$writer.2" ||
			complain "$writer: killed after $moment s: neither the old file nor the new one"
	done
	make $writer 2 "$dir/killed/old" || complain "$writer: after all: $(cat "$dir/errors")"
	cmp -s "$dir/killed/old" "$dir/$writer.2" || complain "$writer: after all, another file"
	# What a killed writer has left goes with the next one.
	[ "$(ls "$dir/killed")" = old ] ||
		complain "$writer leaves $(ls "$dir/killed" | grep -vx old)"
	rm -r "$dir/killed"
done

# One that is stopped while it keeps packed weights leaves no part of them.
run random --size qwen2-0.5b --type Q4_0 "$dir/model.gguf" 2>"$dir/errors" || complain "random: $(cat "$dir/errors")"
${RUN-} ./quern-run generate -m "$dir/model.gguf" -n 1 --cache "$dir/cache" >"$dir/out" 2>"$dir/errors" &
pid=$!
until ls "$dir/cache" 2>/dev/null | grep -q quern- || ! kill -0 $pid 2>/dev/null; do
	sleep 0.01
done
kill -TERM $pid
wait $pid
status=$?
[ $status = 143 ] || complain "stopped with half a cache: exit $status: $(cat "$dir/errors")"
left=$(ls "$dir/cache")
[ -z "$left" ] || complain "stopped with half a cache, it leaves $left"

exit $bad
