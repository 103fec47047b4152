/*
 * chat.c: messages as a model's chat template writes them.
 *
 * Templates are programs in Jinja; they are not run.  Those of the supported models are variations
 * of two forms, headers before each message and [INST] around the user's, so a template is
 * recognised by what must stand in it and the form's record is written out.  What is not recognised
 * is an error.
 */
#include <string.h>

#include "../error.h"
#include "vocab.h"

enum role { SYSTEM, USER, ASSISTANT };

enum system { SYSTEM_OWN, SYSTEM_FIRST, SYSTEM_LAST, SYSTEM_SYS }; /* see struct family */

struct family {
	const char *name;
	/*
	 * Headers: before the role, between it and the content, behind that; NULL: the end token.
	 */
	const char *open, *middle, *close;
	const char *roles[3];
	/* [INST], when open is NULL: around a user's message, before and behind the answer. */
	const char *user_open, *user_close, *reply_open, *reply_close;
	/* Where the system message stands: by itself, before the first or the last user's one, or
	 * within <<SYS>> before the first. */
	enum system system;
	unsigned trims; /* bit by role: white space around the content is dropped */
};

enum { TRIM_ALL = 7, TRIM_REPLY = 1 << ASSISTANT };

#define ROLES \
	{ \
		"system", "user", "assistant" \
	}

static const struct family chatml = {
	.name = "chatml",
	.open = "<|im_start|>",
	.middle = "\n",
	.close = "<|im_end|>\n",
	.roles = ROLES,
};
static const struct family phi4 = {
	.name = "phi4",
	.open = "<|im_start|>",
	.middle = "<|im_sep|>",
	.close = "<|im_end|>",
	.roles = ROLES,
};
static const struct family llama3 = {
	.name = "llama3",
	.open = "<|start_header_id|>",
	.middle = "<|end_header_id|>\n\n",
	.close = "<|eot_id|>",
	.roles = ROLES,
	.trims = TRIM_ALL,
};
static const struct family phi3 = {
	.name = "phi3",
	.open = "<|",
	.middle = "|>\n",
	.close = "<|end|>\n",
	.roles = ROLES,
};
static const struct family phi4_mini = {
	.name = "phi4-mini",
	.open = "<|",
	.middle = "|>",
	.close = "<|end|>",
	.roles = ROLES,
};
static const struct family zephyr = {
	.name = "zephyr",
	.open = "<|",
	.middle = "|>\n",
	.roles = ROLES,
};
static const struct family stablelm = {
	.name = "zephyr",
	.open = "<|",
	.middle = "|>\n",
	.close = "<|endoftext|>\n",
	.roles = ROLES,
};
static const struct family gemma = {
	.name = "gemma",
	.open = "<start_of_turn>",
	.middle = "\n",
	.close = "<end_of_turn>\n",
	.roles = {"user", "user", "model"},
	.system = SYSTEM_FIRST,
	.trims = TRIM_ALL & ~(1u << SYSTEM),
};
static const struct family bitnet = {
	.name = "bitnet",
	.open = "",
	.middle = ": ",
	.close = "<|eot_id|>",
	.roles = {"System", "User", "Assistant"},
	.trims = TRIM_ALL,
};
static const struct family llama2 = {
	.name = "llama2",
	.user_open = "[INST] ",
	.user_close = " [/INST]",
	.reply_open = " ",
	.reply_close = " ",
	.system = SYSTEM_SYS,
	.trims = TRIM_ALL & ~(1u << SYSTEM),
};
static const struct family mistral_v0 = {
	.name = "mistral-v0",
	.user_open = "[INST] ",
	.user_close = " [/INST]",
	.system = SYSTEM_FIRST,
};
static const struct family mistral_v1 = {
	.name = "mistral-v1",
	.user_open = " [INST] ",
	.user_close = " [/INST]",
	.reply_open = " ",
	.system = SYSTEM_FIRST,
};
static const struct family mistral_v3 = {
	.name = "mistral-v3",
	.user_open = "[INST] ",
	.user_close = "[/INST]",
	.reply_open = " ",
	.system = SYSTEM_LAST,
	.trims = TRIM_REPLY,
};
static const struct family mistral_v3_tekken = {
	.name = "mistral-v3-tekken",
	.user_open = "[INST]",
	.user_close = "[/INST]",
	.system = SYSTEM_LAST,
};
static const struct family mistral_v7 = {
	.name = "mistral-v7",
	.user_open = "[INST] ",
	.user_close = "[/INST]",
	.reply_open = " ",
	.roles = {"[SYSTEM_PROMPT] "},
};
static const struct family mistral_v7_tekken = {
	.name = "mistral-v7-tekken",
	.user_open = "[INST]",
	.user_close = "[/INST]",
	.roles = {"[SYSTEM_PROMPT]"},
};

/*
 * What a template has and lacks; the first line that fits tells the family.  ' is any quote; behind
 * ~ white space and \n of the template are left out.
 */
static const struct sign {
	const struct family *family;
	const char *has[3], *lacks[2];
} signs[] = {
	{&phi4, {"<|im_start|>", "<|im_sep|>", "<|im_end|>"}, {"[INST]"}},
	{&chatml, {"<|im_start|>", "<|im_end|>"}, {"[INST]", "<end_of_utterance>"}},
	{&llama3, {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, {"[INST]"}},
	{&gemma, {"<start_of_turn>", "<end_of_turn>"}, {"[INST]"}},
	{&phi4_mini, {"~'<|'+message['role']+'|>'+message['content']+'<|end|>'"}, {NULL}},
	{&phi3, {"~'<|'+message['role']+'|>'+''+message['content']+'<|end|>'"}, {NULL}},
	{&phi3, {"~'<|user|>'+", "<|end|>", "<|assistant|>"}, {NULL}},
	{&zephyr, {"~'<|user|>'+message['content']+eos_token"}, {NULL}},
	{&stablelm, {"~'<|user|>'+message['content']+'<|endoftext|>'"}, {NULL}},
	{&bitnet, {"~message['role']|capitalize+':'+message['content']|trim+'<|eot_id|>'"}, {NULL}},
	{&llama2, {"<<SYS>>", "~'[INST]'+content.strip()+'[/INST]'"}, {NULL}},
	{&llama2, {"<<SYS>>", "~'[INST]'+content|trim+'[/INST]'"}, {NULL}},
	{&mistral_v7, {"[SYSTEM_PROMPT]", "'[INST] '", "[/INST]"}, {"<<SYS>>"}},
	{&mistral_v7_tekken, {"[SYSTEM_PROMPT]", "'[INST]'", "[/INST]"}, {"<<SYS>>"}},
	{&mistral_v1, {"' [INST] '", "' [/INST]'"}, {"<<SYS>>"}},
	{&mistral_v3, {"'[INST] '", "'[/INST]'"}, {"<<SYS>>"}},
	{&mistral_v3_tekken, {"'[INST]'", "'[/INST]'"}, {"<<SYS>>"}},
	{&mistral_v0, {"~'[INST]'+message['content']+'[/INST]'", "' [/INST]'"}, {"<<SYS>>"}},
};

/* ---- recognition ---- */

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes of white space, or of an escaped newline, at s. */
static size_t gap_at(const char *s, const char *end)
{
	if (s < end && is_blank(*s))
		return 1;
	return end - s >= 2 && s[0] == '\\' && s[1] == 'n' ? 2 : 0;
}

/* Bytes of the template that match the pattern, or 0. */
static size_t match(const char *s, const char *end, const char *pattern, int squeezes)
{
	const char *start = s;

	for (; *pattern; pattern++, s++) {
		while (squeezes && gap_at(s, end))
			s += gap_at(s, end);
		if (s == end || (*s == '"' ? '\'' : *s) != *pattern)
			return 0;
	}
	return (size_t)(s - start);
}

/* What follows the pattern in the text, or NULL. */
static const char *find(const char *s, const char *end, const char *pattern)
{
	int squeezes = *pattern == '~';

	for (; s < end; s++) {
		size_t n = squeezes && gap_at(s, end) ? 0
						      : match(s, end, pattern + squeezes, squeezes);

		if (n)
			return s + n;
	}
	return NULL;
}

static int has(const struct quern_tokenizer *t, const char *pattern)
{
	return find(t->chat, t->chat + t->chat_bytes, pattern) != NULL;
}

static int fits(const struct quern_tokenizer *t, const struct sign *sign)
{
	for (int i = 0; i < 3; i++) {
		if (sign->has[i] && !has(t, sign->has[i]))
			return 0;
	}
	for (int i = 0; i < 2; i++) {
		if (sign->lacks[i] && has(t, sign->lacks[i]))
			return 0;
	}
	return 1;
}

static const struct family *recognise(const struct quern_tokenizer *t, struct quern_error *err)
{
	char begin[64];
	size_t n = t->chat_bytes < 60 ? t->chat_bytes : 60;

	if (!t->chat) {
		qn_error_set(err, "the model has no tokenizer.chat_template");
		return NULL;
	}
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (fits(t, &signs[i]))
			return signs[i].family;
	}
	for (size_t i = 0; i < n; i++)
		begin[i] = (unsigned char)t->chat[i] < ' ' || t->chat[i] == 0x7f ? ' ' : t->chat[i];
	begin[n] = '\0';
	qn_error_set(err, "tokenizer.chat_template: of no known family; it begins '%s'", begin);
	return NULL;
}

const char *quern_chat_family(const struct quern_tokenizer *tokenizer, struct quern_error *err)
{
	const struct family *family = recognise(tokenizer, err);

	return family ? family->name : NULL;
}

/* ---- writing ---- */

struct writer {
	const struct quern_tokenizer *t;
	const struct family *family;
	char *text;
	size_t n_bytes, n;
};

static void add(struct writer *w, const char *s, size_t n)
{
	if (w->n < w->n_bytes)
		memcpy(w->text + w->n, s, n < w->n_bytes - w->n ? n : w->n_bytes - w->n);
	w->n += n;
}

static void add_text(struct writer *w, const char *s)
{
	if (s)
		add(w, s, strlen(s));
}

static void add_special(struct writer *w, int special)
{
	int32_t id = w->t->special[special];

	if (id >= 0)
		add(w, w->t->bytes + w->t->tokens[id].start, w->t->tokens[id].n_bytes);
}

/* White space is dropped on the left, on the right or on both sides. */
static void add_trimmed(struct writer *w, const char *s, int left, int right)
{
	static const char blanks[] = " \t\n\v\f\r";
	size_t n;

	s += left ? strspn(s, blanks) : 0;
	n = strlen(s);
	while (right && n > 0 && strchr(blanks, s[n - 1]))
		n--;
	add(w, s, n);
}

static void add_content(struct writer *w, enum role role, const char *s)
{
	int trims = w->family->trims >> role & 1;

	add_trimmed(w, s, trims, trims);
}

static int role_of(const struct quern_message *message)
{
	static const char *const names[] = ROLES;

	for (int i = 0; i < 3; i++) {
		if (strcmp(message->role, names[i]) == 0)
			return i;
	}
	return -1;
}

/* ---- headers ---- */

static void open_header(struct writer *w, enum role role)
{
	add_text(w, w->family->open);
	add_text(w, w->family->roles[role]);
	add_text(w, w->family->middle);
}

static void close_message(struct writer *w)
{
	if (w->family->close) {
		add_text(w, w->family->close);
		return;
	}
	add_special(w, QUERN_EOS);
	add_text(w, "\n");
}

/*
 * The system message that a chatml template has for those who give none: a literal between its
 * markers that no quote ends.
 */
static void add_default_system(struct writer *w)
{
	const char *end = w->t->chat + w->t->chat_bytes, *s = w->t->chat;

	while ((s = find(s, end, "<|im_start|>system"))) {
		const char *p = s;

		if (p + 1 < end && p[0] == '\\' && p[1] == 'n')
			p++;
		else if (p == end || *p != '\n')
			continue;
		s = ++p;
		while (p < end && !strchr("'\"{}<", *p))
			p++;
		if (p == s || !match(p, end, "<|im_end|>", 0))
			continue;
		open_header(w, SYSTEM);
		for (; s < p; s++) {
			int is_newline = s[0] == '\\' && s[1] == 'n';

			add(w, is_newline ? "\n" : s, 1);
			s += is_newline;
		}
		close_message(w);
		return;
	}
}

/* Llama 3.1 and later: a system message there always is, and it begins with dates. */
static void add_dated_system(struct writer *w, const char *content)
{
	open_header(w, SYSTEM);
	add_text(w, "Cutting Knowledge Date: December 2023\n");
	if (has(w->t, "Today Date: "))
		add_text(w, "Today Date: 26 Jul 2024\n\n");
	add_content(w, SYSTEM, content);
	close_message(w);
}

/* Without what the assistant thought before it answered, and the newlines behind that. */
static const char *skip_thoughts(const char *content)
{
	const char *end;

	while ((end = strstr(content, "</think>")))
		content = end + 8 + strspn(end + 8, "\n");
	return content;
}

static void write_headers(struct writer *w, const struct quern_message *messages, int n, int flags)
{
	int thinks = w->family == &chatml && has(w->t, "</think>"), last_user = -1;
	int i = 0, is_first = 1;
	const char *system = NULL;

	for (int j = 0; j < n; j++) {
		if (role_of(&messages[j]) == USER)
			last_user = j;
	}
	if (role_of(&messages[0]) == SYSTEM)
		system = messages[0].content;
	if (w->family == &chatml && !system)
		add_default_system(w);
	if (w->family == &llama3 && has(w->t, "Cutting Knowledge Date: December 2023")) {
		add_dated_system(w, system ? system : "");
		i = system != NULL;
	} else if (w->family->system == SYSTEM_FIRST && system) {
		i = 1;
	}
	for (; i < n; i++) {
		enum role role = (enum role)role_of(&messages[i]);
		const char *content = messages[i].content;

		open_header(w, role);
		if (w->family->system == SYSTEM_FIRST && system && is_first) {
			add_text(w, system);
			add_text(w, "\n\n");
		}
		is_first = 0;
		if (thinks && role == ASSISTANT && i < last_user)
			content = skip_thoughts(content);
		add_content(w, role, content);
		close_message(w);
	}
	if (!(flags & QUERN_ADD_REPLY))
		return;
	open_header(w, ASSISTANT);
	if ((flags & QUERN_NO_THINKING) && has(w->t, "enable_thinking"))
		add_text(w, "<think>\n\n</think>\n\n");
}

/* ---- [INST] ---- */

static void add_user(struct writer *w, const char *system, const char *content)
{
	const struct family *f = w->family;
	int within_sys = system && f->system == SYSTEM_SYS;
	int trims = f->trims >> USER & 1;

	add_text(w, f->user_open);
	add_text(w, within_sys ? "<<SYS>>\n" : NULL);
	add_text(w, system);
	add_text(w, within_sys ? "\n<</SYS>>\n\n" : system ? "\n\n" : NULL);
	/* Llama 2 takes system message and content together before it drops white space. */
	add_trimmed(w, content, trims && !within_sys, trims);
	add_text(w, f->user_close);
}

static void write_inst(struct writer *w, const struct quern_message *messages, int n)
{
	const struct family *f = w->family;
	const char *system = role_of(&messages[0]) == SYSTEM ? messages[0].content : NULL;
	int bos_each = has(w->t, "~bos_token+'[INST]'"), gap = has(w->t, "eos_token + ' '");
	int is_last = f->system == SYSTEM_LAST && has(w->t, "~loop.lastandsystem_message");
	int i = system != NULL, first = i, bearer; /* of the system message */

	if (system && f->system == SYSTEM_OWN) {
		add_text(w, f->roles[SYSTEM]);
		add_content(w, SYSTEM, system);
		add_text(w, "[/SYSTEM_PROMPT]");
		system = NULL;
	}
	bearer = is_last ? n - 1 : first;
	while (bearer < n - 1 && role_of(&messages[bearer]) != USER)
		bearer++;
	for (; i < n; i++) {
		if (role_of(&messages[i]) == USER) {
			if (bos_each && i > first)
				add_special(w, QUERN_BOS);
			add_user(w, i == bearer ? system : NULL, messages[i].content);
			continue;
		}
		add_text(w, f->reply_open);
		add_content(w, ASSISTANT, messages[i].content);
		add_text(w, f->reply_close);
		add_special(w, QUERN_EOS);
		if (gap)
			add_text(w, " ");
	}
}

/* ---- both ---- */

static int check_messages(const struct quern_tokenizer *t, const struct family *f,
			  const struct quern_message *messages, int n, struct quern_error *err)
{
	int alternate = has(t, "must alternate"), due = USER;
	int needs_bearer = !f->open ? f->system != SYSTEM_OWN : f->system == SYSTEM_FIRST;

	if (n < 1)
		return qn_error_set(err, "a chat needs at least one message");
	if (n == 1 && role_of(messages) == SYSTEM && needs_bearer)
		return qn_error_set(err,
				    "a system message alone; the template '%s' has it within "
				    "the user's message",
				    f->name);
	for (int i = 0; i < n; i++) {
		int role = role_of(&messages[i]);

		if (role < 0)
			return qn_error_set(err,
					    "message %d: role '%.60s'; it must be system, user "
					    "or assistant",
					    i + 1, messages[i].role);
		if (role == SYSTEM) {
			if (i > 0 && (!f->open || f->system == SYSTEM_FIRST))
				return qn_error_set(err,
						    "message %d: the template '%s' has a system "
						    "message only as the first",
						    i + 1, f->name);
			continue;
		}
		if (alternate && role != due)
			return qn_error_set(err,
					    "message %d: the template '%s' wants messages of "
					    "user and assistant in turn, the user's first",
					    i + 1, f->name);
		due = role == USER ? ASSISTANT : USER;
	}
	return 0;
}

long quern_chat_format(const struct quern_tokenizer *tokenizer,
		       const struct quern_message *messages, int n_messages, int flags, char *text,
		       size_t n_bytes, int *has_bos, struct quern_error *err)
{
	struct writer w = {.t = tokenizer, .text = text, .n_bytes = n_bytes};

	w.family = recognise(tokenizer, err);
	if (!w.family || check_messages(tokenizer, w.family, messages, n_messages, err))
		return -1;
	if (has(tokenizer, "bos_token"))
		add_special(&w, QUERN_BOS);
	*has_bos = w.n > 0;
	if (w.family->open)
		write_headers(&w, messages, n_messages, flags);
	else
		write_inst(&w, messages, n_messages);
	return (long)w.n;
}
