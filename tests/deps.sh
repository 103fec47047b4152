#!/bin/sh
#
# deps.sh: does the tree still have the shape that the style guide gives it?  Who may include whom,
# no circles inside a folder, every source known to the build, nothing odd at the top level.

set -u
cd "${srcdir:-$(dirname "$0")/..}" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

complain() {
	echo "$*"
	bad=1
}

# Lines "FILE HEADER" of the #include directives with $1 as first bracket in the files that follow.
includes() {
	bracket=$1
	shift
	sed_script="s/^[ 	]*#[ 	]*include[ 	]*$bracket\\([^\">]*\\)[\">].*/\\1/p"
	for file; do
		[ ! -f "$file" ] || sed -n "$sed_script" "$file" | sed "s|^|$file |"
	done
}

# "FILE HEADER" -> "FILE PATH": quoted headers are found beside a file, at the top, or in the folders that the build adds.
find gen templates runtime tuner tests -name '*.h' >"$work/headers"
find_headers() {
	awk '
		function plain(path) {
			gsub("/\\./", "/", path)
			while (sub("[^/]+/\\.\\./", "", path))
				;
			sub("^\\./", "", path)
			return path
		}
		FILENAME != "-" { known[$1] = 1; next }
		{
			folder = $1
			sub("/[^/]*$", "/", folder)
			n = split(folder "|./|gen/|runtime/|tests/", places, "|")
			found = "missing/" $2
			for (i = n; i > 0; i--)
				if (plain(places[i] $2) in known)
					found = plain(places[i] $2)
			print $1, found
		}' "$work/headers" -
}

# only WHAT PATTERN FILE...: each quoted header of the files, as a path, has to match the pattern.
only() {
	what=$1 pattern=$2
	shift 2
	includes '"' "$@" | find_headers >"$work/pairs"
	cat "$work/pairs" >>"$work/edges"
	grep -vxE "[^ ]* $pattern" "$work/pairs" | sed "s|\([^ ]*\) \(.*\)|\1 includes \2: $what|" >"$work/found"
	[ ! -s "$work/found" ] || complain "$(cat "$work/found")"
}

probe='tuner/(probe|counters|exercise|clock|line|sysfs|vitals|meter|isolate|load|tell|serve|attach)'
only 'runtime uses runtime only' 'runtime/.*' runtime/*.[ch] runtime/llm/*.[ch]
only 'gen uses gen only' 'gen/.*' gen/*.[ch]
only 'tuner uses tuner, gen and runtime' '(tuner|gen|runtime)/.*' tuner/*.[ch]
# shellcheck disable=SC2046
only 'the probe uses itself and runtime' "($probe|runtime/.*)\\.h" \
	$(find tuner -name '*.[ch]' | grep -E "^$probe" | sort)
only 'a vocabulary stands alone or on another' 'templates/vec_[a-z0-9_]*\.h' templates/*.h

# What a template includes is what generated C includes.
includes '"' templates/*.tmpl | grep -vE ' (vec_([a-z0-9_]*|\$\{isa\})|kernel)\.h$' >"$work/found"
[ ! -s "$work/found" ] ||
	complain "generated C includes more than vec_*.h and kernel.h: $(cat "$work/found")"

# libc, libm and pthreads only, for what runs on the target.
includes '<' runtime/*.[ch] runtime/llm/*.[ch] templates/*.h templates/*.tmpl |
	grep -E ' (lua|lauxlib|yaml|papi|python|omp)' >"$work/found"
[ ! -s "$work/found" ] ||
	complain "runtime and kernels need libc, libm and pthreads only: $(cat "$work/found")"

# In the runtime the modules (a .c and its .h) stand in an order; elsewhere the headers do.
sed -nE 's|^(runtime/[^.]*)\.[ch] (runtime/.*)\.h$|\1 \2|p; s|^([gt][^.]*\.h) ([gt].*)|\1 \2|p' "$work/edges" |
	tsort >/dev/null 2>"$work/found" || complain "includes in a circle: $(cat "$work/found")"

tr -c 'a-z0-9_.\n' ' ' <Makefile.in | tr ' ' '\n' | sed 's/\.[co]$//' | sort -u >"$work/known"
for file in runtime/*.c runtime/llm/*.c gen/*.c tuner/*.c tests/*.c tests/*.sh; do
	grep -qx "$(basename "${file%.*}")" "$work/known" ||
		grep -qE "[/\"]$(basename "$file")\"" tests/*.[ch] tests/*.sh ||
		complain "$file is not in Makefile.in"
done

for file in $(find gen templates runtime tuner tests results -type f |
	grep -E '/(misc|utils?|common|old|contrib|helpers?)[./]'); do
	complain "$file: what is it really about?"
done

if command -v git >/dev/null && git rev-parse --git-dir >/dev/null 2>&1; then
	files='README|LICENSE|CHANGES|configure|Makefile\.in|install-deps|\.gitignore|\.clang-(format|tidy)'
	git ls-files | cut -d/ -f1 | sort -u |
		grep -vxE "$files|gen|templates|runtime|tuner|tests|results|\.ci" >"$work/found"
	[ ! -s "$work/found" ] || complain "at the top level, and not in the design: $(cat "$work/found")"
fi

# What a person is told to run is what is run.
command=$(sed -n '/^\.\/install-deps/p' .ci/run)
[ -n "$command" ] && grep -qsF "$command" README || complain "README lacks the command of .ci/run: $command"

exit $bad
