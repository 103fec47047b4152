#!/bin/sh
#
# split.sh: are random texts split as Perl's regular expressions split them?  Runs in a build folder.

set -u
source=${srcdir:-.}
version=$(sed -n 's/.* of Unicode \([0-9.]*\);.*/\1/p' "$source/runtime/llm/unicode_table.c")
theirs=$(perl "$source/tests/unicode.pl" version 2>/dev/null) || {
	echo 'no perl with Unicode::UCD'
	exit 77
}
[ "$theirs" = "$version" ] || {
	echo "perl has Unicode $theirs, the table $version"
	exit 77
}
perl "$source/tests/split.pl" "${RUN:-} obj/target/tests/test_split" 2000
