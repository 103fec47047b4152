/*
 * split.h: text into words, as byte-level BPE takes them ("pre-tokenizers").
 */
#ifndef QN_SPLIT_H
#define QN_SPLIT_H

#include <stddef.h>

struct qn_split_rule;

/* A value of tokenizer.ggml.pre and what it stands for. */
struct qn_split {
	const char *name;
	const struct qn_split_rule *rule;
	int takes_words; /* a word that is a token is not taken apart ("ignore_merges") */
	int adds_bos;    /* unless the file says otherwise */
};

/* NULL: the name is not known. */
const struct qn_split *qn_split_find(const char *name, size_t n_bytes);

/*
 * Bytes of the first word of a text of n_bytes >= 1; at least 1.  Each byte that is not UTF-8
 * counts as a symbol.  A text is split in time proportional to its length.
 */
size_t qn_split_word(const struct qn_split_rule *rule, const char *text, size_t n_bytes);

#endif
