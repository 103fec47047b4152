#!/bin/sh
#
# format.sh: C is as .clang-format says, by clang-format 14 (Debian 12's), the version it is written for.

set -u
cd "${srcdir:-.}" || exit 1
format=$(command -v clang-format-14 || command -v clang-format) || {
	echo 'no clang-format'
	exit 77
}
"$format" --version | grep -q 'version 14\.' || {
	echo "$format is not version 14"
	exit 77
}
find gen runtime tuner tests -name golden -prune -o -name '*.[ch]' -print | sort |
	xargs "$format" --dry-run --Werror 2>&1 | grep -E '(error|warning):' | head -n 10 | grep . && exit 1
exit 0
