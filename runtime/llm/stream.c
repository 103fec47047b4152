/*
 * stream.c: tokens to text in whole characters.
 *
 * Bytes go through a window of one character: as soon as it is complete it is written, as soon as
 * it cannot become one U+FFFD is.  Each put runs twice, first without writing, so that a text that
 * has no room leaves the stream as it was.
 */
#include <string.h>

#include "unicode.h"
#include "vocab.h"

void quern_stream_start(struct quern_stream *stream, const struct quern_tokenizer *tokenizer,
			int flags)
{
	*stream = (struct quern_stream){.tokenizer = tokenizer, .flags = flags};
	if (!tokenizer->adds_space)
		stream->flags &= ~QUERN_AT_START;
}

/*
 * Takes bytes in and writes what is complete to out, unless that is NULL; returns the bytes of it.
 */
static size_t take(struct quern_stream *stream, const char *bytes, size_t n_bytes, char *out)
{
	char *pending = stream->pending;
	size_t n_out = 0;

	for (size_t i = 0; i < n_bytes; i++) {
		pending[stream->n_pending++] = bytes[i];
		while (stream->n_pending > 0) {
			uint32_t code;
			int n = qn_unicode_decode(pending, (size_t)stream->n_pending, &code);
			const char *text = n > 0 ? pending : QN_UNICODE_REPLACEMENT;
			size_t n_text = n > 0 ? (size_t)n : strlen(QN_UNICODE_REPLACEMENT);

			if (n == 0)
				break;
			if (out)
				memcpy(out + n_out, text, n_text);
			n_out += n_text;
			n = n > 0 ? n : -n;
			stream->n_pending -= n;
			memmove(pending, pending + n, (size_t)stream->n_pending);
		}
	}
	return n_out;
}

long quern_stream_put(struct quern_stream *stream, int32_t id, char *text, size_t n_bytes)
{
	const struct quern_tokenizer *t = stream->tokenizer;
	struct quern_stream after = *stream;
	long n = quern_token_text(t, id, stream->flags, NULL, 0);
	const char *bytes;
	size_t n_text;

	if (n <= 0)
		return n;
	bytes = t->bytes + t->tokens[id].start;
	if ((after.flags & QUERN_AT_START) && *bytes == ' ') {
		bytes++;
		n--;
	}
	after.flags &= ~QUERN_AT_START;
	n_text = take(&after, bytes, (size_t)n, NULL);
	if (n_text > n_bytes)
		return (long)n_text;
	after = *stream;
	after.flags &= ~QUERN_AT_START;
	take(&after, bytes, (size_t)n, text);
	*stream = after;
	return (long)n_text;
}

long quern_stream_end(struct quern_stream *stream, char *text, size_t n_bytes)
{
	const size_t n = strlen(QN_UNICODE_REPLACEMENT);

	if (stream->n_pending == 0)
		return 0;
	if (n <= n_bytes) {
		memcpy(text, QN_UNICODE_REPLACEMENT, n);
		stream->n_pending = 0;
	}
	return (long)n;
}
