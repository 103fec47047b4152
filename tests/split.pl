#!/usr/bin/perl
#
# split.pl: random texts, split by Perl's regular expressions and by the library's matchers.
#
#	perl tests/split.pl PROGRAM ROUNDS
#
# PROGRAM is test_split; "PROGRAM words" reads lines "RULE TEXT-AS-HEX" and answers with the bytes of each word.

use strict;
use warnings;
use IPC::Open2;

my %rules = (
	'gpt-2' => qr/'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/,
	'llama-bpe' => qr/'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/,
	'qwen2' => qr/'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/,
	'tekken' => qr/[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n\/]*|\s*[\r\n]+|\s+(?!\S)|\s+/,
);
# Numbers first, then what stands between them.
my $smollm = 'smollm';

sub words_of {
	my ($rule, $text) = @_;
	return $text =~ /$rules{$rule}/g if $rule ne $smollm;
	return map { /\p{N}/ ? $_ : /$rules{'gpt-2'}/g } $text =~ /\p{N}|\P{N}+/g;
}

my @parts = (' ', '  ', "\n", "\r\n", "\t", "'s", "'RE", "'ll", "'", 'a', 'B', 'Abc', '1', '23', '.', '!?', '/',
	"\x{301}", "\x{e9}", "\x{c9}", "\x{4e2d}", "\x{2b0}", "\x{1c5}", "\x{3000}", "\x{a0}", "\x{bd}",
	"\x{661}", "\x{1f680}", "\x{200d}", "\x{fffd}", "\x{85}", '_', '$');

sub random_text {
	my $text = '';
	for (0 .. int rand 14) {
		$text .= rand() < .9 ? $parts[rand @parts] : chr(1 + int rand(rand() < .5 ? 0x2ff : 0xd7fe));
	}
	return $text;
}

my ($program, $rounds) = @ARGV;
srand 7;
my $pid = open2(my $answers, my $questions, "$program words") or die;
for my $rule (sort(keys %rules), $smollm) {
	for (1 .. $rounds) {
		my $text = random_text();
		my $bytes = $text;
		utf8::encode($bytes);
		my @words = words_of($rule, $text);
		utf8::encode($_) for @words;
		my $expected = join ' ', map { length } @words;
		print $questions "$rule ", unpack('H*', $bytes), "\n";
		$questions->flush;
		chomp(my $found = <$answers>);
		next if $found eq $expected;
		print "$rule: ", unpack('H*', $bytes), ": words of $found bytes, perl finds $expected\n";
		exit 1;
	}
}
