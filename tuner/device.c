/*
 * device.c: device files.
 */
#include <ctype.h>
#include <unistd.h>

#include "command.h"
#include "device.h"
#include "fail.h"
#include "remote.h"
#include "gen/yaml.h"

static void free_words(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

static int read_words(const struct yaml *yaml, const struct yaml_node *node, const char *key,
		      char ***words, struct gen_error *err)
{
	if (node->kind != YAML_SEQUENCE)
		return yaml_complain(yaml, node, err, "'%s' must be a list of words", key);
	free_words(*words);
	*words = fail_alloc(node->n + 1, sizeof(**words));
	for (size_t i = 0; i < node->n; i++) {
		if (node->items[i]->kind != YAML_SCALAR)
			return yaml_complain(yaml, node->items[i], err,
					     "'%s' must hold plain words", key);
		(*words)[i] = fail_text("%s", node->items[i]->text);
	}
	return 0;
}

static void free_commands(char ***commands)
{
	for (size_t i = 0; commands && commands[i]; i++)
		free_words(commands[i]);
	free(commands);
}

/* A list of commands, or one command. */
static int read_commands(const struct yaml *yaml, const struct yaml_node *node, const char *key,
			 char ****commands, struct gen_error *err)
{
	int is_list =
		node->kind == YAML_SEQUENCE && node->n && node->items[0]->kind == YAML_SEQUENCE;
	size_t n = is_list ? node->n : 1;

	free_commands(*commands);
	*commands = fail_alloc(n + 1, sizeof(**commands));
	for (size_t i = 0; i < n; i++) {
		const struct yaml_node *words = is_list ? node->items[i] : node;

		if (read_words(yaml, words, key, &(*commands)[i], err) < 0)
			return -1;
		if (!words->n)
			return yaml_complain(yaml, words, err, "'%s' has a command without words",
					     key);
	}
	return 0;
}

static int read_seconds(const struct yaml *yaml, const struct yaml_node *node, const char *key,
			double *seconds, struct gen_error *err)
{
	if (yaml_double(node, seconds) < 0 || !(*seconds > 0 && *seconds <= 86400))
		return yaml_complain(yaml, node, err,
				     "'%s' must be seconds, above 0 and at most 86400", key);
	return 0;
}

static int read_count(const struct yaml *yaml, const struct yaml_node *node, const char *key,
		      long max, long *count, struct gen_error *err)
{
	if (yaml_long(node, count) < 0 || *count < 0 || *count > max)
		return yaml_complain(yaml, node, err, "'%s' must be a number from 0 to %ld", key,
				     max);
	return 0;
}

static int read_mark(const struct yaml *yaml, const struct yaml_node *node, const char *key,
		     int *is_so, struct gen_error *err)
{
	if (node->kind != YAML_SCALAR || node->quoted ||
	    (strcmp(node->text, "true") && strcmp(node->text, "false")))
		return yaml_complain(yaml, node, err, "'%s' must be true or false", key);
	*is_so = !strcmp(node->text, "true");
	return 0;
}

static int is_name(const char *text)
{
	if (!isalpha((unsigned char)*text) && *text != '_')
		return 0;
	while (isalnum((unsigned char)*text) || *text == '_')
		text++;
	return !*text;
}

static int read_environment(const struct yaml *yaml, const struct yaml_node *node,
			    char ***variables, struct gen_error *err)
{
	if (node->kind != YAML_MAPPING)
		return yaml_complain(yaml, node, err,
				     "'environment' must be names with values, like {NAME: \"1\"}");
	free_words(*variables);
	*variables = fail_alloc(node->n + 1, sizeof(**variables));
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *value = node->items[i];

		if (!is_name(node->keys[i]->text))
			return yaml_complain(yaml, node->keys[i], err,
					     "'%s' cannot be the name of a variable",
					     node->keys[i]->text);
		if (value->kind != YAML_SCALAR)
			return yaml_complain(yaml, value, err, "'%s' must be a plain word",
					     node->keys[i]->text);
		(*variables)[i] = fail_text("%s=%s", node->keys[i]->text, value->text);
	}
	return 0;
}

/* Tools for copying differ in what they make of other characters. */
static int read_work(const struct yaml *yaml, const struct yaml_node *node, char **work,
		     struct gen_error *err)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789/._-+";

	if (node->kind != YAML_SCALAR || *node->text != '/' || !node->text[1] ||
	    node->text[strspn(node->text, fine)] || strlen(node->text) > 256)
		return yaml_complain(yaml, node, err,
				     "'work' must be a folder of the device from / on, of letters, "
				     "digits and ._-+");
	free(*work);
	*work = fail_text("%s", node->text);
	return 0;
}

static int read_key(struct device *device, const struct yaml *yaml, const struct yaml_node *key,
		    const struct yaml_node *value, struct gen_error *err)
{
	struct {
		const char *name;
		char ***words;
	} lists[] = {
		{"compiler", &device->compiler}, {"flags", &device->flags}, {"link", &device->link},
		{"papi", &device->papi},         {"run", &device->run},     {"copy", &device->copy},
		{"start", &device->start},
	};
	struct {
		const char *name;
		double *seconds;
	} times[] = {
		{"time_out", &device->time_out_s},
		{"compile_time_out", &device->compile_time_out_s},
		{"connect_time_out", &device->connect_time_out_s},
		{"sustained", &device->sustained_s},
	};
	struct {
		const char *name;
		int *is_so;
	} marks[] = {{"thermal_gate", &device->thermal_gate}, {"pin", &device->pin}};
	long number;

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		if (!strcmp(key->text, lists[i].name))
			return read_words(yaml, value, key->text, lists[i].words, err);
	}
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		if (!strcmp(key->text, times[i].name))
			return read_seconds(yaml, value, key->text, times[i].seconds, err);
	}
	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		if (!strcmp(key->text, marks[i].name))
			return read_mark(yaml, value, key->text, marks[i].is_so, err);
	}
	if (!strcmp(key->text, "quern")) {
		if (value->kind != YAML_SCALAR || strcmp(value->text, "device"))
			return yaml_complain(yaml, value, err, "this is not a device file");
		return 0;
	}
	if (!strcmp(key->text, "schema")) {
		if (yaml_long(value, &number) < 0 || number != 1)
			return yaml_complain(yaml, value, err, "schema must be 1");
		return 0;
	}
	if (!strcmp(key->text, "name")) {
		if (value->kind != YAML_SCALAR || !*value->text ||
		    strlen(value->text) >= sizeof(device->name))
			return yaml_complain(yaml, value, err, "name must be 1 to %zu characters",
					     sizeof(device->name) - 1);
		strcpy(device->name, value->text);
		return 0;
	}
	if (!strcmp(key->text, "clang"))
		return read_commands(yaml, value, key->text, &device->clang, err);
	if (!strcmp(key->text, "environment"))
		return read_environment(yaml, value, &device->environment, err);
	if (!strcmp(key->text, "work"))
		return read_work(yaml, value, &device->work, err);
	if (!strcmp(key->text, "retries"))
		return read_count(yaml, value, key->text, 1000, &device->retries, err);
	return yaml_complain(yaml, key, err,
			     "unknown key '%s': must be one of quern, schema, name, compiler, "
			     "clang, flags, link, papi, copy, run, start, work, environment, "
			     "retries, time_out, compile_time_out, connect_time_out, "
			     "thermal_gate, sustained, pin",
			     key->text);
}

static int has_mark(char *const *words, const char *mark)
{
	while (words && *words && !strstr(*words, mark))
		words++;
	return words && *words;
}

/* What only makes sense together. */
static int check_link(const struct device *device, const struct yaml *yaml, struct gen_error *err)
{
	static const char *const far_only[] = {"start", "work", "retries", "connect_time_out"};
	const struct yaml_node *root = yaml_root(yaml);
	const struct yaml_node *copy = yaml_get(root, "copy");

	if (!copy) {
		for (size_t i = 0; i < sizeof(far_only) / sizeof(*far_only); i++) {
			const struct yaml_node *value = yaml_get(root, far_only[i]);

			if (value)
				return yaml_complain(yaml, value, err,
						     "'%s' is for devices that have 'copy', too",
						     far_only[i]);
		}
		if (!has_mark(device->run, "{program}"))
			return yaml_complain(yaml, yaml_get(root, "run"), err,
					     "'run' must have {program} where the probe's path "
					     "goes");
		return 0;
	}
	if (!has_mark(device->copy, "{file}") || !has_mark(device->copy, "{path}"))
		return yaml_complain(yaml, copy, err,
				     "'copy' must have {file} where the file's path goes and "
				     "{path} where its place on the device goes");
	if (!has_mark(device->run, "{command}"))
		return yaml_complain(yaml, yaml_get(root, "run"), err,
				     "'run' must have {command} where the command for the device "
				     "goes");
	if (!device->work)
		return yaml_complain(yaml, root, err, "'work' is missing, which 'copy' needs");
	return 0;
}

static int read_device(struct device *device, const struct yaml *yaml, struct gen_error *err)
{
	const struct yaml_node *root = yaml_root(yaml);

	if (!root || root->kind != YAML_MAPPING || !yaml_get(root, "quern"))
		return fail_set(err, "%s:1: this is not a device file ('quern: device' is missing)",
				yaml_name(yaml));
	for (size_t i = 0; i < root->n; i++) {
		if (read_key(device, yaml, root->keys[i], root->items[i], err) < 0)
			return -1;
	}
	if (!*device->name)
		return yaml_complain(yaml, root, err, "'name' is missing");
	if (!device->compiler || !device->compiler[0])
		return yaml_complain(yaml, root, err, "'compiler' is missing or empty");
	if (!device->run || !device->run[0])
		return yaml_complain(yaml, root, err, "'run' is missing or empty");
	if (check_link(device, yaml, err) < 0)
		return -1;
	if (!device->flags)
		device->flags = fail_alloc(1, sizeof(*device->flags));
	if (!device->link)
		device->link = fail_alloc(1, sizeof(*device->link));
	if (device->copy)
		device->remote = remote_open(device);
	return 0;
}

/* The words of a text with spaces between; NULL when it has none. */
static char **split_words(const char *text)
{
	char *copy = fail_text("%s", text), *rest = copy, *word, **words = NULL;
	size_t n = 0;

	while ((word = strsep(&rest, " "))) {
		if (!*word)
			continue;
		words = fail_grow(words, n, sizeof(*words));
		words[n++] = fail_text("%s", word);
	}
	if (n) {
		words = fail_grow(words, n, sizeof(*words));
		words[n] = NULL;
	}
	free(copy);
	return words;
}

/* The compilers of this machine: those of the environment, or of configure. */
static void take_environment(struct device *device)
{
	const char *cc = getenv("CC"), *clang = getenv("CLANG");
	char **words = cc ? split_words(cc) : NULL;

	if (words) {
		free_words(device->compiler);
		device->compiler = words;
	}
	if (!clang && device->clang)
		return;
	free_commands(device->clang);
	device->clang = NULL;
	words = split_words(clang ? clang : QUERN_CLANG);
	if (words) {
		device->clang = fail_alloc(2, sizeof(*device->clang));
		device->clang[0] = words;
	}
}

static int is_path(const char *name)
{
	size_t n = strlen(name);

	return strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml"));
}

static char *find_file(const char *home, const char *name)
{
	return is_path(name) ? fail_text("%s", name)
			     : fail_text("%s/tuner/devices/%s.yaml", home, name);
}

int device_is_known(const char *home, const char *name)
{
	char *path = find_file(home, name);
	int is_known = is_path(name) || access(path, F_OK) == 0;

	free(path);
	return is_known;
}

int device_read(struct device *device, const char *home, const char *name, struct gen_error *err)
{
	char *path = find_file(home, name);
	struct yaml *yaml;
	int status;

	memset(device, 0, sizeof(*device));
	device->time_out_s = 10;
	device->compile_time_out_s = 120;
	device->connect_time_out_s = 20;
	device->retries = 10;
	yaml = yaml_read(path, err);
	if (!yaml && !is_path(name) && access(path, F_OK) < 0)
		fail_set(err,
			 "there is no device '%.60s' (%s): 'quern device list' shows those there "
			 "are, a file of your own has a / in its name",
			 name, path);
	free(path);
	if (!yaml)
		return -1;
	status = read_device(device, yaml, err);
	yaml_close(yaml);
	if (!status && !strcmp(device->name, "local"))
		take_environment(device);
	if (status < 0)
		device_free(device);
	return status;
}

void device_free(struct device *device)
{
	device_leave(device);
	remote_close(device->remote);
	free_words(device->compiler);
	free_commands(device->clang);
	free_words(device->flags);
	free_words(device->link);
	free_words(device->papi);
	free_words(device->run);
	free_words(device->environment);
	free_words(device->copy);
	free_words(device->start);
	free(device->work);
	free(device->at);
	memset(device, 0, sizeof(*device));
}

int device_set_at(struct device *device, const char *at, struct gen_error *err)
{
	int is_needed = has_mark(device->run, "{at}") || has_mark(device->copy, "{at}");

	if (is_needed && !at)
		return fail_set(err,
				"the device %s needs --at: say where it is, such as --at user@host "
				"or --at SERIAL",
				device->name);
	if (!is_needed && at)
		return fail_set(err,
				"the device %s has no {at} in its file, so --at '%s' says nothing",
				device->name, at);
	/* It becomes a part of words and must not be taken for an option. */
	if (at && (*at == '-' || !*at))
		return fail_set(err, "--at '%s' must not begin with -", at);
	for (const char *p = at; p && *p; p++) {
		if (!isgraph((unsigned char)*p))
			return fail_set(err, "--at '%s' must have no spaces", at);
	}
	free(device->at);
	device->at = at ? fail_text("%s", at) : NULL;
	return 0;
}

void device_set_run(struct device *device, const char *folder)
{
	if (device->remote)
		remote_set_run(device->remote, folder);
}

void device_leave(struct device *device)
{
	if (device->remote)
		remote_leave(device->remote);
}
