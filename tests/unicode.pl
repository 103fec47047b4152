#!/usr/bin/perl
#
# unicode.pl: the table of classes in runtime/llm/unicode_table.c, from Perl's Unicode data.
#
#	perl tests/unicode.pl table | clang-format-14 --assume-filename=x.c >runtime/llm/unicode_table.c
#	obj/target/tests/test_unicode dump | perl tests/unicode.pl check
#
# The second compares what the library says of every code point with what Perl says.

use strict;
use warnings;
no warnings qw(surrogate nonchar non_unicode);
use Unicode::UCD;

# Numbers of enum qn_unicode_class.
my ($OTHER, $UPPER, $LOWER, $LETTER, $MARK, $NUMBER, $SPACE, $PAIRS) = 0 .. 7;

sub class_of {
	my $c = chr shift;
	return $SPACE if $c =~ /\p{White_Space}/;
	return $UPPER if $c =~ /[\p{Lu}\p{Lt}]/;
	return $LOWER if $c =~ /\p{Ll}/;
	return $LETTER if $c =~ /[\p{Lm}\p{Lo}]/;
	return $MARK if $c =~ /\p{M}/;
	return $NUMBER if $c =~ /\p{N}/;
	return $OTHER;
}

# [first, class] of each run of code points of one class.
sub runs {
	my @runs;
	my $last = -1;
	for my $code (0 .. 0x10ffff) {
		my $class = class_of($code);
		push @runs, [$code, $class] if $class != $last;
		$last = $class;
	}
	return @runs;
}

# Upper and lower case in turn, one code point each, become one range.
sub with_pairs {
	my @runs = @_;
	my @ranges;
	my $i = 0;
	while ($i < @runs) {
		my $j = $i;
		$j++ while $j + 1 < @runs && $runs[$j + 1][0] == $runs[$j][0] + 1 &&
			$runs[$j][1] == (($j - $i) % 2 ? $LOWER : $UPPER);
		if ($j - $i > 2) {
			push @ranges, [$runs[$i][0], $PAIRS];
			$i = $j;
		} else {
			push @ranges, $runs[$i++];
		}
	}
	return @ranges;
}

my $what = shift || '';
if ($what eq 'table') {
	my @ranges = with_pairs(runs());
	print "/* unicode_table.c: classes of code points of Unicode ", Unicode::UCD::UnicodeVersion(),
		"; written by tests/unicode.pl. */\n#include \"unicode.h\"\n\n",
		"const uint32_t qn_unicode_ranges[] = {",
		join(', ', map { sprintf '0x%x', $_->[0] << 4 | $_->[1] } @ranges), "};\n\n",
		"const size_t qn_unicode_n_ranges = sizeof(qn_unicode_ranges) / sizeof(*qn_unicode_ranges);\n";
} elsif ($what eq 'check') {
	my @expected = map { sprintf "%x %d", @$_ } runs();
	my @found = <STDIN>;
	chomp @found;
	for my $i (0 .. ($#expected > $#found ? $#expected : $#found)) {
		my ($expected, $found) = ($expected[$i] || 'nothing', $found[$i] || 'nothing');
		next if $expected eq $found;
		print "code point and class: perl has $expected, the library $found\n";
		exit 1;
	}
} elsif ($what eq 'version') {
	print Unicode::UCD::UnicodeVersion(), "\n";
} else {
	die "usage: unicode.pl table | check | version\n";
}
