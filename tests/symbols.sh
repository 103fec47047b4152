#!/bin/sh
#
# symbols.sh: libquern needs nothing but libc, libm and libpthread, offers nothing but quern_*, and is
# small.  Runs in a build folder.

set -u
CC=${CC:-cc}
limit=400	# KiB of text with the formats that quern tune takes by default
limit_llm=160	# of what runs models on top of that
limit_all=1440	# of all of it, with all formats
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

complain() {
	echo "$*"
	bad=1
}

# What the three libraries define (on newer systems libpthread is part of libc), and what the compiler
# brings along for its own use.
{
	for name in libc.so.6 libm.so.6 libpthread.so.0; do
		file=$($CC -print-file-name="$name")
		[ ! -f "$file" ] || nm -D --defined-only "$file"
	done
	nm --defined-only "$($CC -print-libgcc-file-name)" 2>/dev/null
} | awk '{ sub(/@.*/, "", $NF); print $NF }' | sort -u >"$work/system"
[ -s "$work/system" ] || complain "cannot list the symbols of libc"

# Symbols the linker itself provides or leaves out when absent.
{
	cat "$work/system"
	printf '%s\n' _GLOBAL_OFFSET_TABLE_ __gmon_start__ _ITM_registerTMCloneTable \
		_ITM_deregisterTMCloneTable __cxa_finalize
} | sort -u >"$work/allowed"

nm -g --defined-only libquern.a | awk 'NF == 3 { print $3 }' | sort -u >"$work/own"
nm -g --undefined-only libquern.a | awk '$1 == "U" || $1 == "w" { print $2 }' | sort -u |
	comm -23 - "$work/own" | comm -23 - "$work/allowed" >"$work/found"
[ ! -s "$work/found" ] ||
	complain "libquern.a needs more than libc, libm and libpthread:" $(cat "$work/found")

nm -D --undefined-only libquern.so.0 | awk '{ sub(/@.*/, "", $NF); print $NF }' | sort -u |
	comm -23 - "$work/allowed" >"$work/found"
[ ! -s "$work/found" ] ||
	complain "libquern.so.0 needs more than libc, libm and libpthread:" $(cat "$work/found")

nm -D --defined-only libquern.so.0 | awk '$2 != "A" { sub(/@.*/, "", $NF); print $NF }' |
	sort -u >"$work/exported"
grep -v '^quern_' "$work/exported" >"$work/found"
[ ! -s "$work/found" ] ||
	complain "libquern.so.0 exports more than quern_*:" $(cat "$work/found")
sed -n 's/^[a-z].*[ *]\(quern_[a-z_]*\)(.*/\1/p' "${srcdir:-.}/runtime/quern.h" | sort -u |
	comm -23 - "$work/exported" >"$work/found"
[ ! -s "$work/found" ] ||
	complain "libquern.so.0 lacks functions of quern.h:" $(cat "$work/found")

# All that programs would call qn_* or quern_* stays so: no stray name in a user's static link.
grep -vE '^(qn|quern)_' "$work/own" >"$work/found"
[ ! -s "$work/found" ] ||
	complain "libquern.a defines names that are not its own:" $(cat "$work/found")

tuned='w1g128|wtgr|w2g64|w3g128|w4g32|w8g32'
llm="^(floats_.*$(cd "${srcdir:-.}/runtime/llm" && printf '|%s' *.c | sed 's/\.c//g'))[.]o"
text=$(size libquern.a | awk -v tuned="_($tuned)_" -v llm="$llm" \
	'NR > 1 && $6 !~ llm && ($6 !~ /^kernel_/ || $6 ~ tuned) { n += $1 } END { print int(n / 1024) }')
[ "$text" -lt "$limit" ] || complain "libquern.a has $text KiB of text for $tuned, the limit is $limit"
text=$(size libquern.a | awk -v llm="$llm" '$6 ~ llm { n += $1 } END { print int(n / 1024) }')
[ "$text" -gt 0 ] && [ "$text" -lt "$limit_llm" ] ||
	complain "libquern.a has $text KiB of text to run models, the limit is $limit_llm"
text=$(size libquern.so.0 | awk 'NR == 2 { print int($1 / 1024) }')
[ "$text" -lt "$limit_all" ] ||
	complain "libquern.so.0 has $text KiB of text, the limit is $limit_all"

exit $bad
