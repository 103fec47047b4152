#!/bin/sh
#
# unicode.sh: has every code point the class that Perl's Unicode data give it?  Runs in a build folder.

set -u
source=${srcdir:-.}
version=$(sed -n 's/.* of Unicode \([0-9.]*\);.*/\1/p' "$source/runtime/llm/unicode_table.c")
[ -n "$version" ] || {
	echo 'unicode_table.c does not say which Unicode it is of'
	exit 1
}
theirs=$(perl "$source/tests/unicode.pl" version 2>/dev/null) || {
	echo 'no perl with Unicode::UCD'
	exit 77
}
[ "$theirs" = "$version" ] || {
	echo "perl has Unicode $theirs, the table $version"
	exit 77
}
${RUN:-} obj/target/tests/test_unicode dump | perl "$source/tests/unicode.pl" check
