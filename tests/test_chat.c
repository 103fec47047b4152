/*
 * test_chat.c: messages in the form of each family's template.
 *
 * Templates are shortened to what a family is known by; the expected texts are what Jinja makes of
 * the whole ones.
 */
#include "check.h"

#include "fuzz_tokenizer.c"

#define TURNS "conversation roles must alternate user/assistant "

static const char llama3_template[] =
	"{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
	"'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 "
	"%}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}";
static const char llama31_template[] =
	"{{- bos_token }}{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n"
	"{{- \"Cutting Knowledge Date: December 2023\\n\" }}\n"
	"{{- \"Today Date: \" + date_string + \"\\n\\n\" }}{{- system_message }}{{- \"<|eot_id|>\" }}";
static const char chatml_template[] =
	"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
	"'<|im_end|>' + '\\n'}}{% endfor %}";
static const char qwen25_template[] =
	"{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- else %}{{- 'You are Qwen' }}"
	"{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + "
	"'<|im_end|>\\n' }}{%- else %}{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. "
	"You are a helpful assistant.<|im_end|>\\n' }}";
static const char smollm_template[] =
	"{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are "
	"SmolLM\\nindeed<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n'}}";
static const char qwen3_template[] =
	"{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}"
	"{%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}"
	"{%- if enable_thinking is defined and enable_thinking is false %}";
static const char phi3_template[] =
	"{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + "
	"message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + "
	"message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n'"
	" + message['content'] + '<|end|>\n'}}";
static const char phi3_small_template[] =
	"{{ bos_token }}{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + "
	"message['content'] + '<|end|>\n' }}{% endfor %}";
static const char phi4_mini_template[] =
	"{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}";
static const char phi4_template[] = "{{'<|im_start|>user<|im_sep|>' + message['content'] + "
				    "'<|im_end|>'}}";
static const char tinyllama_template[] =
	"{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + "
	"message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + "
	"message['content'] + eos_token }}\n";
static const char gemma_template[] =
	"{{ bos_token }}" TURNS "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + "
	"'<end_of_turn>\n' }}";
static const char bitnet_template[] =
	"{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
	"message['role'] | capitalize + ': '+ message['content'] | trim + '<|eot_id|>' %}{{ content }}";
static const char llama2_template[] = TURNS
	"{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
	"{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{{ ' '  + content.strip() + ' ' "
	"+ eos_token }}";
static const char mistral_v0_template[] =
	"{{ bos_token }}" TURNS
	"{{ '[INST] ' + message['content'] + ' [/INST]' }}{{ message['content'] + "
	"eos_token}}";
static const char mistral_v01_template[] =
	"{{ bos_token }}" TURNS
	"{{ '[INST] ' + message['content'] + ' [/INST]' }}{{ message['content'] + "
	"eos_token + ' ' }}";
static const char mistral_v1_template[] =
	"{{- bos_token }}" TURNS
	"{{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' "
	"[/INST]' }}{{- ' ' + message['content'] + eos_token}}";
static const char mistral_v3_template[] =
	"{{- bos_token }}" TURNS
	"{{- \"[AVAILABLE_TOOLS] [\" }}{%- if loop.last and system_message is "
	"defined %}{{- \"[INST] \" + system_message + \"\\n\\n\" + message[\"content\"] + \"[/INST]\" }}"
	"{{- \" \" + message[\"content\"]|trim + eos_token}}";
static const char nemo_template[] =
	"{{- bos_token }}" TURNS
	"{%- if loop.last and system_message is defined %}{{- \"[INST]\" + "
	"system_message + \"\\n\\n\" + message[\"content\"] + \"[/INST]\" }}{{- message[\"content\"] + "
	"eos_token}}";
static const char mistral_v7_template[] =
	"{{- bos_token }}{{- \"[SYSTEM_PROMPT] \" + message[\"content\"] + \"[/SYSTEM_PROMPT]\" }}{{- "
	"\"[INST] \" + message[\"content\"] + \"[/INST]\" }}";
static const char small_template[] =
	"{{- bos_token }}{{- '[SYSTEM_PROMPT]' + system_message + '[/SYSTEM_PROMPT]' }}{{- '[INST]' + "
	"message['content'] + '[/INST]' }}";

static const struct quern_message talk[] = {{"system", "Be kind"},
					    {"user", "Hello"},
					    {"assistant", " Hi "},
					    {"user", " Who are you? "}};

#define HEAD(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define IM(role) "<|im_start|>" role "\n"

static const struct {
	const char *family, *template;
	int has_bos;
	const char *all;  /* of talk */
	const char *user; /* of its second message only */
} cases[] = {
	{"llama3", llama3_template, 1,
	 "<s>" HEAD("system") "Be kind<|eot_id|>" HEAD("user") "Hello<|eot_id|>" HEAD(
		 "assistant") "Hi<|eot_id|>" HEAD("user") "Who are you?<|eot_id|>" HEAD("assistant"),
	 "<s>" HEAD("user") "Hello<|eot_id|>" HEAD("assistant")},
	{"llama3", llama31_template, 1,
	 "<s>" HEAD(
		 "system") "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
			   "Be kind<|eot_id|>" HEAD("user") "Hello<|eot_id|>" HEAD("assistant") "Hi<|eot_id|>" HEAD(
				   "user") "Who are you?<|eot_id|>" HEAD("assistant"),
	 "<s>" HEAD("system") "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
			      "<|eot_id|>" HEAD("user") "Hello<|eot_id|>" HEAD("assistant")},
	{"chatml", chatml_template, 0,
	 IM("system") "Be kind<|im_end|>\n" IM("user") "Hello<|im_end|>\n" IM(
		 "assistant") " Hi <|im_end|>\n" IM("user") " Who are you? <|im_end|>\n" IM("assistant"),
	 IM("user") "Hello<|im_end|>\n" IM("assistant")},
	{"chatml", qwen25_template, 0,
	 IM("system") "Be kind<|im_end|>\n" IM("user") "Hello<|im_end|>\n" IM(
		 "assistant") " Hi <|im_end|>\n" IM("user") " Who are you? <|im_end|>\n" IM("assistant"),
	 IM("system") "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n" IM(
		 "user") "Hello<|im_end|>\n" IM("assistant")},
	{"chatml", smollm_template, 0,
	 IM("system") "Be kind<|im_end|>\n" IM("user") "Hello<|im_end|>\n" IM(
		 "assistant") " Hi <|im_end|>\n" IM("user") " Who are you? <|im_end|>\n" IM("assistant"),
	 IM("system") "You are SmolLM\nindeed<|im_end|>\n" IM("user") "Hello<|im_end|>\n" IM(
		 "assistant")},
	{"chatml", qwen3_template, 0,
	 IM("system") "Be kind<|im_end|>\n" IM("user") "Hello<|im_end|>\n" IM(
		 "assistant") " Hi <|im_end|>\n" IM("user") " Who are you? <|im_end|>\n" IM("assistant"),
	 IM("user") "Hello<|im_end|>\n" IM("assistant")},
	{"phi3", phi3_template, 0,
	 "<|system|>\nBe kind<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\n Hi <|end|>\n<|user|>\n"
	 " Who are you? <|end|>\n<|assistant|>\n",
	 "<|user|>\nHello<|end|>\n<|assistant|>\n"},
	{"phi3", phi3_small_template, 1,
	 "<s><|system|>\nBe kind<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\n Hi <|end|>\n<|user|>\n"
	 " Who are you? <|end|>\n<|assistant|>\n",
	 "<s><|user|>\nHello<|end|>\n<|assistant|>\n"},
	{"phi4-mini", phi4_mini_template, 0,
	 "<|system|>Be kind<|end|><|user|>Hello<|end|><|assistant|> Hi <|end|><|user|> Who are you? "
	 "<|end|><|assistant|>",
	 "<|user|>Hello<|end|><|assistant|>"},
	{"phi4", phi4_template, 0,
	 "<|im_start|>system<|im_sep|>Be kind<|im_end|><|im_start|>user<|im_sep|>Hello<|im_end|>"
	 "<|im_start|>assistant<|im_sep|> Hi <|im_end|><|im_start|>user<|im_sep|> Who are you? "
	 "<|im_end|><|im_start|>assistant<|im_sep|>",
	 "<|im_start|>user<|im_sep|>Hello<|im_end|><|im_start|>assistant<|im_sep|>"},
	{"zephyr", tinyllama_template, 0,
	 "<|system|>\nBe kind</s>\n<|user|>\nHello</s>\n<|assistant|>\n Hi </s>\n<|user|>\n"
	 " Who are you? </s>\n<|assistant|>\n",
	 "<|user|>\nHello</s>\n<|assistant|>\n"},
	{"gemma", gemma_template, 1,
	 "<s><start_of_turn>user\nBe kind\n\nHello<end_of_turn>\n<start_of_turn>model\nHi<end_of_turn>\n"
	 "<start_of_turn>user\nWho are you?<end_of_turn>\n<start_of_turn>model\n",
	 "<s><start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\n"},
	{"bitnet", bitnet_template, 0,
	 "System: Be kind<|eot_id|>User: Hello<|eot_id|>Assistant: Hi<|eot_id|>User: Who are you?"
	 "<|eot_id|>Assistant: ",
	 "User: Hello<|eot_id|>Assistant: "},
	{"llama2", llama2_template, 1,
	 "<s>[INST] <<SYS>>\nBe kind\n<</SYS>>\n\nHello [/INST] Hi </s><s>[INST] Who are you? [/INST]",
	 "<s>[INST] Hello [/INST]"},
	{"mistral-v0", mistral_v0_template, 1,
	 "<s>[INST] Be kind\n\nHello [/INST] Hi </s>[INST]  Who are you?  [/INST]",
	 "<s>[INST] Hello [/INST]"},
	{"mistral-v0", mistral_v01_template, 1,
	 "<s>[INST] Be kind\n\nHello [/INST] Hi </s> [INST]  Who are you?  [/INST]",
	 "<s>[INST] Hello [/INST]"},
	{"mistral-v1", mistral_v1_template, 1,
	 "<s> [INST] Be kind\n\nHello [/INST]  Hi </s> [INST]  Who are you?  [/INST]",
	 "<s> [INST] Hello [/INST]"},
	{"mistral-v3", mistral_v3_template, 1,
	 "<s>[INST] Hello[/INST] Hi</s>[INST] Be kind\n\n Who are you? [/INST]",
	 "<s>[INST] Hello[/INST]"},
	{"mistral-v3-tekken", nemo_template, 1,
	 "<s>[INST]Hello[/INST] Hi </s>[INST]Be kind\n\n Who are you? [/INST]",
	 "<s>[INST]Hello[/INST]"},
	{"mistral-v7", mistral_v7_template, 1,
	 "<s>[SYSTEM_PROMPT] Be kind[/SYSTEM_PROMPT][INST] Hello[/INST]  Hi </s>[INST]  Who are you? "
	 "[/INST]",
	 "<s>[INST] Hello[/INST]"},
	{"mistral-v7-tekken", small_template, 1,
	 "<s>[SYSTEM_PROMPT]Be kind[/SYSTEM_PROMPT][INST]Hello[/INST] Hi </s>[INST] Who are you? "
	 "[/INST]",
	 "<s>[INST]Hello[/INST]"},
};

/* SentencePiece with a template; NULL: none. */
static struct quern_tokenizer *open_template(const char *template)
{
	struct vocabulary v = spm_vocabulary(0);
	struct plan plan = start_plan();
	struct quern_tokenizer *t;

	add_vocabulary(&plan, &v);
	if (template)
		add_string(&plan, "tokenizer.chat_template", template);
	t = open_plan(&plan, NULL);
	if (!t)
		abort();
	return t;
}

static void check_format(const struct quern_tokenizer *t, const struct quern_message *messages,
			 int n, int flags, const char *expected, int expects_bos)
{
	struct quern_error err = {.text = ""};
	char text[1024];
	int has_bos = -1;
	long length = quern_chat_format(t, messages, n, flags, text, sizeof(text), &has_bos, &err);
	long part;

	if (!CHECK(length >= 0 && length < (long)sizeof(text))) {
		printf("%s\n", err.text);
		return;
	}
	text[length] = '\0';
	CHECK(has_bos == expects_bos);
	if (!CHECK(strcmp(text, expected) == 0))
		printf("---- found\n%s\n---- expected\n%s\n", text, expected);
	text[3] = '#';
	part = quern_chat_format(t, messages, n, flags, text, 3, &has_bos, &err);
	CHECK(part == length && text[3] == '#');
}

static void test_families(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quern_tokenizer *t = open_template(cases[i].template);
		const char *family = quern_chat_family(t, NULL);

		if (!CHECK(family && strcmp(family, cases[i].family) == 0))
			printf("%s is taken as %s\n", cases[i].family, family ? family : "unknown");
		check_format(t, talk, 4, QUERN_ADD_REPLY, cases[i].all, cases[i].has_bos);
		check_format(t, talk + 1, 1, QUERN_ADD_REPLY, cases[i].user, cases[i].has_bos);
		quern_tokenizer_close(t);
	}
}

static void test_thoughts(void)
{
	static const struct quern_message messages[] = {{"user", "a"},
							{"assistant", "<think>\nhm\n</think>\n\nb"},
							{"user", "c"}};
	struct quern_tokenizer *t = open_template(qwen3_template);

	check_format(t, messages, 3, QUERN_ADD_REPLY | QUERN_NO_THINKING,
		     IM("user") "a<|im_end|>\n" IM("assistant") "b<|im_end|>\n" IM(
			     "user") "c<|im_end|>\n" IM("assistant") "<think>\n\n</think>\n\n",
		     0);
	check_format(t, messages, 1, 0, IM("user") "a<|im_end|>\n", 0);
	quern_tokenizer_close(t);
	t = open_template(chatml_template);
	check_format(t, messages, 1, QUERN_ADD_REPLY | QUERN_NO_THINKING,
		     IM("user") "a<|im_end|>\n" IM("assistant"), 0);
	quern_tokenizer_close(t);
}

static void check_refused(const char *template, const struct quern_message *messages, int n,
			  const char *words)
{
	struct quern_tokenizer *t = open_template(template);
	struct quern_error err = {.text = ""};
	int has_bos;

	CHECK(quern_chat_format(t, messages, n, 0, NULL, 0, &has_bos, &err) == -1);
	CHECK_SAYS(err.text, words);
	quern_tokenizer_close(t);
}

static void test_refused(void)
{
	static const char *const unknown[] =
		{"",
		 "{% for message in messages %}{{ message['content'] }}{% endfor %}",
		 "{{'User: ' + message['content'] + '\\n\\n'}}",
		 "[INST]{{ message }}[/INST]",
		 "{{ '<|user|>\n' + message['content'] + '\n' }}<|assistant|>",
		 "<|im_start|>User: <end_of_utterance> <|im_end|>"};
	static const struct quern_message tool[] = {{"user", "a"}, {"tool", "b"}};
	static const struct quern_message late[] = {{"user", "a"}, {"system", "b"}};
	static const struct quern_message twice[] = {{"user", "a"}, {"user", "b"}};

	check_refused(NULL, talk, 4, "no tokenizer.chat_template");
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		check_refused(unknown[i], talk, 4, "of no known family; it begins '");
	check_refused(unknown[1], talk, 4, "it begins '{% for message in messages %}{{ ");
	check_refused(chatml_template, talk, 0, "at least one message");
	check_refused(chatml_template, tool, 2, "message 2: role 'tool'");
	check_refused(gemma_template, late, 2, "message 2: the template 'gemma' has a system");
	check_refused(llama2_template, late, 2, "message 2: the template 'llama2' has a system");
	check_refused(mistral_v3_template, twice, 2, "message 2: the template 'mistral-v3' wants");
	check_refused(gemma_template, talk, 1, "a system message alone");
	check_refused(mistral_v1_template, talk + 2, 1, "message 1: the template 'mistral-v1'");
}

int main(void)
{
	test_families();
	test_thoughts();
	test_refused();
	return check_exit();
}
