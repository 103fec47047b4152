/* facts.c: the first probe. */
#include <ctype.h>

#include "facts.h"
#include "fail.h"
#include "probe.h"

/* One kernel of an ISA, or, when name is NULL, one that runs everywhere. */
static int find_kernel(struct gen *gen, const struct config *config, const char *name,
		       struct gen_point *point, struct gen_isa *isa, struct gen_error *err)
{
	const char *const *isas = gen_isas(gen);
	const char *act = NULL;

	for (size_t a = 0; a < config->acts.n && !act; a++)
		act = config_act(config, 0, a);
	if (!act)
		return fail_set(err, "no activation format of the config is for %s",
				config->formats.list[0]);
	for (size_t i = 0; isas[i]; i++) {
		if (gen_isa(gen, isas[i], isa, err) < 0)
			return -1;
		if (name ? strcmp(isa->name, name) : strcmp(isa->arch, "any"))
			continue;
		for (size_t f = 0; f < config->families.n; f++) {
			struct gen_space *space =
				gen_space_open(gen, config->families.list[f],
					       config->formats.list[0], act, isa->name,
					       config->tokens.list[config->tokens.n - 1], 0, 0,
					       err);
			int found = space && gen_space_count(space) > 0;

			if (!space)
				return -1;
			if (found && gen_space_point(space, 0, point, err) < 0)
				found = -1;
			gen_space_close(space);
			if (found)
				return found < 0 ? -1 : 0;
		}
	}
	return fail_set(err, "no family of the config has a %s kernel for %s",
			name ? name : "portable", config->formats.list[0]);
}

int facts_build(struct gen *gen, const struct config *config, struct compile *compile,
		const char *isa_name, char *path, size_t n_bytes, struct gen_error *err)
{
	struct gen_point point;
	struct gen_isa isa;
	struct compile_item kernel = {0}, isa_file = {0};
	char *text = NULL, *isa_text = NULL, *registry = NULL;
	const char *key = point.key, *object = kernel.object;
	int status = find_kernel(gen, config, isa_name, &point, &isa, err);

	if (status || !(text = gen_emit(gen, point.key, err)) ||
	    !(isa_text = gen_emit_isa(gen, isa.name, err)) ||
	    !(registry = gen_emit_registry(gen, &key, 1, err))) {
		status = -1;
		goto out;
	}
	kernel.text = text;
	kernel.flags = isa_file.flags = isa.flags;
	isa_file.text = isa_text;
	status = compile_items(compile, &kernel, 1, err);
	if (!status && kernel.why)
		status = fail_set(err, "the compiler cannot compile a %s kernel: %s",
				  isa_name ? isa_name : "portable", kernel.why);
	if (!status)
		status = compile_program(compile, &object, 1, registry, &isa_file, 1, path, n_bytes,
					 err);
	free(kernel.why);
out:
	free(registry);
	free(isa_text);
	free(text);
	return status;
}

static int take_hello(struct facts *facts, const char *answer, struct gen_error *err)
{
	struct {
		const char *key;
		char *text;
		size_t n_bytes;
	} texts[] = {
		{"cpu", facts->cpu, sizeof(facts->cpu)},
		{"kernel", facts->os, sizeof(facts->os)},
		{"arch", facts->arch, sizeof(facts->arch)},
		{"features", facts->features, sizeof(facts->features)},
		{"counters", facts->counters, sizeof(facts->counters)},
		{"why", facts->why, sizeof(facts->why)},
		{"events", facts->events, sizeof(facts->events)},
	};
	struct {
		const char *key;
		long *value;
	} numbers[] = {
		{"cores", &facts->cores},         {"classes", &facts->classes},
		{"l1d_bytes", &facts->l1d_bytes}, {"l2_bytes", &facts->l2_bytes},
		{"llc_bytes", &facts->llc_bytes},
	};
	long long value;

	if (device_value_long(answer, "protocol", &value) < 0 || value != PROBE_PROTOCOL)
		return fail_set(err, "the probe speaks another protocol than %d", PROBE_PROTOCOL);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (device_value(answer, texts[i].key, texts[i].text, texts[i].n_bytes) < 0)
			return fail_set(err, "the probe's hello has no '%s'", texts[i].key);
		if (!strcmp(texts[i].text, "-"))
			*texts[i].text = 0;
		/* A terminal gets to see these. */
		for (char *p = texts[i].text; *p; p++)
			*p = iscntrl((unsigned char)*p) ? '?' : *p;
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (device_value_long(answer, numbers[i].key, &value) < 0 || value < 0 ||
		    value > 1ll << 40)
			return fail_set(err, "the probe's hello has no '%s'", numbers[i].key);
		*numbers[i].value = (long)value;
	}
	if (facts->cores < 1)
		return fail_set(err, "the probe's hello names no cores");
	for (char *p = facts->features; *p; p++) {
		if (*p == ',')
			*p = ' ';
	}
	return 0;
}

/* ---- the doctor's answer: all of it may be missing ---- */

static void take_governors(struct facts *facts, const char *answer)
{
	char list[sizeof(facts->governor)] = "", first[32] = "", key[16], one[32];
	int differ = 0;
	size_t n = 0;

	for (int i = 0; snprintf(key, sizeof(key), "governor%d", i) > 0 &&
			device_value(answer, key, one, sizeof(one)) == 0;
	     i++) {
		if (!i)
			strcpy(first, one);
		differ |= strcmp(first, one) != 0;
		if (n + strlen(one) + 2 <= sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? "," : "",
					      one);
	}
	snprintf(facts->governor, sizeof(facts->governor), "%s", differ ? list : first);
	if (!differ && !strcmp(first, "-"))
		*facts->governor = 0;
}

/* The first of zones=NAME:MILLIDEGREES,...: those of processors come first. */
static void take_thermal(struct facts *facts, const char *answer)
{
	char zones[1024];
	long temp_mc;
	char *colon;

	if (device_value(answer, "zones", zones, sizeof(zones)) < 0)
		return;
	zones[strcspn(zones, ",")] = 0;
	colon = strrchr(zones, ':');
	if (!colon)
		return;
	*colon = 0;
	temp_mc = strtol(colon + 1, NULL, 10);
	snprintf(facts->thermal, sizeof(facts->thermal), "%.40s %.1f C", zones, 1e-3 * temp_mc);
}

/* NAME:STATUS:PERCENT */
static void take_battery(struct facts *facts, const char *answer)
{
	char battery[128], *rest = battery, *status, *percent;

	if (device_value(answer, "battery", battery, sizeof(battery)) < 0)
		return;
	strsep(&rest, ":");
	status = strsep(&rest, ":");
	percent = strsep(&rest, ":");
	if (!status || !percent)
		return;
	for (char *p = status; *p; p++)
		*p = *p == '_' ? ' ' : *p;
	snprintf(facts->battery, sizeof(facts->battery), "%.24s%s%.8s%s",
		 strcmp(status, "-") ? status : "unknown", strcmp(percent, "-") ? ", " : "",
		 strcmp(percent, "-") ? percent : "", strcmp(percent, "-") ? " %" : "");
}

static void take_doctor(struct facts *facts, const char *answer)
{
	long long paranoid;

	take_governors(facts, answer);
	take_thermal(facts, answer);
	take_battery(facts, answer);
	if (device_value(answer, "sensors", facts->energy, sizeof(facts->energy)) < 0 ||
	    !strcmp(facts->energy, "-"))
		*facts->energy = 0;
	if (device_value_long(answer, "paranoid", &paranoid) == 0 && paranoid >= -1 &&
	    paranoid <= 100)
		snprintf(facts->paranoid, sizeof(facts->paranoid), "%lld", paranoid);
	if (device_value_double(answer, "clock_ns", &facts->clock_ns) < 0 ||
	    !(facts->clock_ns > 0 && facts->clock_ns < 1e9))
		facts->clock_ns = 0;
}

int facts_take(struct facts *facts, const char *hello, const char *doctor, struct gen_error *err)
{
	memset(facts, 0, sizeof(*facts));
	if (take_hello(facts, hello, err) < 0)
		return -1;
	take_doctor(facts, doctor);
	return 0;
}

int facts_learn(struct facts *facts, struct gen *gen, const struct config *config,
		struct compile *compile, const struct device *device, const char *log_path,
		struct gen_error *err)
{
	char path[4096], hello[PROBE_LINE + 1], doctor[PROBE_LINE + 1];
	struct device_probe *probe;
	int status;

	memset(facts, 0, sizeof(*facts));
	if (facts_build(gen, config, compile, NULL, path, sizeof(path), err) < 0)
		return -1;
	probe = device_start(device, path, log_path, err);
	if (!probe)
		return -1;
	if (device_ask(probe, device->time_out_s, "hello", hello) == DEVICE_OK) {
		if (device_ask(probe, device->time_out_s, "doctor", doctor) != DEVICE_OK)
			*doctor = 0;
		status = facts_take(facts, hello, doctor, err);
	} else {
		status = fail_set(err, "the probe does not run on %s: %s (see %s)", device->name,
				  hello, log_path);
	}
	device_stop(probe);
	return status;
}

/* Are all words of needs among those of have?  *n gets how many there are. */
static int has_all(const char *have, const char *needs, int *n)
{
	*n = 0;
	while (*(needs += strspn(needs, " "))) {
		size_t length = strcspn(needs, " "), found = 0;

		for (const char *p = have; *p && !found; p += strspn(p, " ")) {
			size_t word = strcspn(p, " ");

			found = word == length && !strncmp(p, needs, length);
			p += word;
		}
		if (!found)
			return 0;
		++*n;
		needs += length;
	}
	return 1;
}

static int is_named(const struct config_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++) {
		if (!strcmp(names->list[i], name))
			return 1;
	}
	return !names->n;
}

static int is_replaced(const struct search_isa *isas, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(isas[i].info.replaces, name))
			return 1;
	}
	return 0;
}

int facts_list_isas(const struct facts *facts, struct gen *gen, const struct config *config,
		    struct search_isa **isas, size_t *n, struct gen_error *err)
{
	const char *const *names = gen_isas(gen);

	*isas = NULL;
	*n = 0;
	for (size_t i = 0; names[i]; i++) {
		struct search_isa one = {0};

		if (!is_named(&config->isas, names[i]))
			continue;
		if (gen_isa(gen, names[i], &one.info, err) < 0)
			return -1;
		if ((strcmp(one.info.arch, "any") && strcmp(one.info.arch, facts->arch)) ||
		    !has_all(facts->features, one.info.features, &one.n_features))
			continue;
		one.text = gen_emit_isa(gen, names[i], err);
		if (!one.text)
			return -1;
		*isas = fail_grow(*isas, *n, sizeof(one));
		(*isas)[(*n)++] = one;
	}
	for (size_t i = 0; i < *n && !config->isas.n; i++)
		(*isas)[i].is_replaced = is_replaced(*isas, *n, (*isas)[i].info.name);
	return *n ? 0
		  : fail_set(err, "the device has none of the config's ISAs; it has %s: %s",
			     facts->arch, facts->features);
}

void facts_free_isas(struct search_isa *isas, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(isas[i].text);
	free(isas);
}
