/* checkup.c: takes answers apart, draws conclusions, prints both. */
#include <ctype.h>
#include <math.h>

#include "checkup.h"
#include "fail.h"

#define HOT_MC 60000   /* of a device that has done nothing yet */
#define LOW_PERCENT 20 /* of a battery: many phones slow down below */
#define UNSTEADY 1.10  /* the slowest canary over the fastest */
#define SLOW_TICK_NS 1000

/* ---- answers ---- */

static long long number_of(const char *answer, const char *key)
{
	long long value;

	return device_value_long(answer, key, &value) < 0 ? CHECKUP_ABSENT : value;
}

/* Without bytes that a terminal could take for commands. */
static void text_of(const char *answer, const char *key, char *text, size_t n_bytes)
{
	if (device_value(answer, key, text, n_bytes) < 0 || !strcmp(text, "-"))
		*text = 0;
	for (; *text; text++)
		*text = isprint((unsigned char)*text) ? *text : '?';
}

static long long class_number(const char *answer, const char *key, int i)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%d", key, i);
	return number_of(answer, name);
}

static void class_text(const char *answer, const char *key, int i, char *text, size_t n_bytes)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%d", key, i);
	text_of(answer, name, text, n_bytes);
}

static void take_class(struct checkup_class *c, int i, const char *hello, const char *doctor)
{
	class_text(hello, "name", i, c->name, sizeof(c->name));
	class_text(hello, "part", i, c->part, sizeof(c->part));
	if (!strcmp(c->part, "0x0"))
		*c->part = 0;
	class_text(hello, "cpus", i, c->cpus, sizeof(c->cpus));
	class_text(doctor, "governor", i, c->governor, sizeof(c->governor));
	c->max_khz = class_number(hello, "max_khz", i);
	if (c->max_khz == 0)
		c->max_khz = CHECKUP_ABSENT;
	c->capacity = class_number(hello, "capacity", i);
	c->min_khz = class_number(doctor, "min_khz", i);
	c->limit_khz = class_number(doctor, "limit_khz", i);
	c->cur_khz = class_number(doctor, "cur_khz", i);
}

int checkup_take(struct checkup *checkup, const char *hello, const char *doctor, const char *vitals,
		 struct gen_error *err)
{
	if (facts_take(&checkup->facts, hello, doctor, err) < 0)
		return -1;
	checkup->n_classes = checkup->facts.classes < CHECKUP_CLASSES ? (int)checkup->facts.classes
								      : CHECKUP_CLASSES;
	for (int i = 0; i < checkup->n_classes; i++)
		take_class(&checkup->classes[i], i, hello, doctor);
	text_of(doctor, "allowed", checkup->allowed, sizeof(checkup->allowed));
	text_of(doctor, "zones", checkup->zones, sizeof(checkup->zones));
	text_of(doctor, "boot", checkup->boot, sizeof(checkup->boot));
	text_of(vitals, "zone", checkup->zone, sizeof(checkup->zone));
	text_of(vitals, "source", checkup->source, sizeof(checkup->source));
	checkup->page_bytes = number_of(doctor, "page_bytes");
	checkup->temp_mc = number_of(vitals, "temp_mc");
	checkup->throttled = number_of(vitals, "throttled");
	checkup->charging = number_of(vitals, "charging");
	checkup->power_uw = number_of(vitals, "power_uw");
	checkup->energy_uj = number_of(vitals, "energy_uj");
	return 0;
}

/* ---- conclusions ---- */

struct advice {
	char *list[64];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void advise(struct advice *advice, const char *format,
							 ...)
{
	va_list args;
	char *text;

	if (advice->n == sizeof(advice->list) / sizeof(*advice->list))
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	advice->list[advice->n++] = fail_check(text);
}

/* Classes with the same governor share a sentence. */
static void advise_governors(const struct checkup *checkup, struct advice *advice)
{
	for (int i = 0; i < checkup->n_classes; i++) {
		const char *governor = checkup->classes[i].governor;
		char classes[64] = "";
		int first = 0;

		while (strcmp(checkup->classes[first].governor, governor))
			first++;
		if (first < i || !strcmp(governor, "performance"))
			continue;
		for (int j = i; j < checkup->n_classes; j++) {
			size_t n = strlen(classes);

			if (!strcmp(checkup->classes[j].governor, governor))
				snprintf(classes + n, sizeof(classes) - n, "%s%d", n ? ", " : "",
					 j);
		}
		if (*governor)
			advise(advice,
			       "class %s: the governor is %s, so the frequency follows the load; root "
			       "can write performance to scaling_governor, without root only a steady "
			       "load helps",
			       classes, governor);
		else
			advise(advice,
			       "class %s: the governor cannot be read; a change of frequency shows "
			       "only in the canary",
			       classes);
	}
}

static void advise_speed(const struct checkup_speed *speed, const char *class,
			 struct advice *advice)
{
	const char *s = speed->n_threads == 1 ? "" : "s";

	if (*speed->why)
		advise(advice, "%s, %ld thread%s: not measured: %s", class, speed->n_threads, s,
		       speed->why);
	else if (speed->canary_most_ns > UNSTEADY * speed->canary_ns)
		advise(advice,
		       "%s, %ld thread%s: the same work took up to %.2f times as long: something "
		       "else runs there, or the frequency moves",
		       class, speed->n_threads, s, speed->canary_most_ns / speed->canary_ns);
}

static void advise_classes(const struct checkup *checkup, struct advice *advice)
{
	for (int i = 0; i < checkup->n_classes; i++) {
		const struct checkup_class *c = &checkup->classes[i];
		char class[96];

		snprintf(class, sizeof(class), "class %d (%s)", i,
			 *c->name ? c->name : "of a kind that is not known");
		if (c->limit_khz > 0 && c->max_khz > 0 && c->limit_khz < c->max_khz)
			advise(advice,
			       "%s: held at %lld MHz of %lld MHz: a power-saving mode, or heat",
			       class, c->limit_khz / 1000, c->max_khz / 1000);
		for (int j = 0; j < c->n_speeds; j++)
			advise_speed(&c->speeds[j], class, advice);
	}
}

static void advise_heat(const struct checkup *checkup, struct advice *advice)
{
	const struct facts *facts = &checkup->facts;
	const char *percent = strchr(facts->battery, ',');

	if (checkup->throttled == 1)
		advise(advice, "the system slows processors down because of heat: let it cool");
	if (checkup->temp_mc != CHECKUP_ABSENT && checkup->temp_mc >= HOT_MC)
		advise(advice,
		       "%s is at %.1f C before any work: let it cool, or take it out of its "
		       "case",
		       checkup->zone, 1e-3 * (double)checkup->temp_mc);
	if (checkup->charging == 1)
		advise(advice,
		       "the battery is being charged, which heats the device, and its gauge "
		       "cannot tell what is drawn; unplugged, with adb over Wi-Fi, it can");
	if (checkup->charging == 0 && strncmp(facts->battery, "Discharging", 11))
		advise(advice,
		       "it is plugged in, so its battery's gauge cannot tell what is drawn");
	if (!strncmp(facts->battery, "Discharging", 11))
		advise(advice, "it runs on its battery and may save power%s",
		       percent && strtol(percent + 1, NULL, 10) < LOW_PERCENT
			       ? ", all the more as little is left"
			       : "");
}

static void advise_counters(const struct checkup *checkup, struct advice *advice)
{
	const struct facts *facts = &checkup->facts;

	if (*facts->paranoid && strtol(facts->paranoid, NULL, 10) >= 3)
		advise(advice,
		       "perf_event_paranoid is %s, so there are no hardware counters: on Android "
		       "`setprop security.perf_harden 0` from adb shell lowers it, elsewhere root's "
		       "`sysctl kernel.perf_event_paranoid=2`",
		       facts->paranoid);
	else if (!strcmp(facts->counters, "none"))
		advise(advice, "there are no hardware counters, so times alone have to explain: %s",
		       *facts->why ? facts->why : "the probe does not say why");
	if (strstr(facts->energy, ":denied"))
		advise(advice,
		       "sensors of energy or power are there, but only root may read them: %s",
		       facts->energy);
	if (facts->clock_ns > SLOW_TICK_NS)
		advise(advice, "the clock ticks every %.0f ns: short samples are coarse",
		       facts->clock_ns);
}

static void conclude(const struct checkup *checkup, struct advice *advice)
{
	advice->n = 0;
	advise_heat(checkup, advice);
	advise_governors(checkup, advice);
	advise_classes(checkup, advice);
	advise_counters(checkup, advice);
}

static void free_advice(struct advice *advice)
{
	for (size_t i = 0; i < advice->n; i++)
		free(advice->list[i]);
}

/* ---- for a person ---- */

/* Facts and sentences of the probe are as the device sent them. */
static void put(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(isprint((unsigned char)*text) ? *text : '?', out);
}

static void put_line(FILE *out, const char *label, const char *text, const char *otherwise)
{
	fprintf(out, "%-12s", label);
	put(out, *text ? text : otherwise);
	fputc('\n', out);
}

static const char *mhz(long long khz, char text[32])
{
	if (khz == CHECKUP_ABSENT || khz <= 0)
		strcpy(text, "-");
	else
		snprintf(text, 32, "%lld", khz / 1000);
	return text;
}

static void print_zones(FILE *out, const struct checkup *checkup)
{
	char *copy = fail_text("%s", checkup->zones), *rest = copy, *zone;
	int n = 0;

	fprintf(out, "%-12s", "heat");
	while (*checkup->zones && (zone = strsep(&rest, ","))) {
		char *colon = strrchr(zone, ':');

		if (!colon)
			continue;
		*colon = 0;
		/* The others are there for those who want JSON. */
		if (n++ < 6) {
			fputs(n > 1 ? ", " : "", out);
			put(out, zone);
			fprintf(out, " %.1f C", 1e-3 * (double)strtoll(colon + 1, NULL, 10));
		}
	}
	if (n > 6)
		fprintf(out, " and %d more", n - 6);
	fputs(n ? "" : "none readable", out);
	fputs(checkup->throttled == 1   ? "; slowed down\n"
	      : checkup->throttled == 0 ? "; not slowed down\n"
					: "\n",
	      out);
	free(copy);
}

static void print_facts(FILE *out, const struct checkup *checkup)
{
	const struct facts *facts = &checkup->facts;
	char text[1400];

	snprintf(text, sizeof(text), "%s%s%s", checkup->device, checkup->at ? " at " : "",
		 checkup->at ? checkup->at : "");
	put_line(out, "device", text, "");
	snprintf(text, sizeof(text), "%s, %s, %s", facts->cpu, facts->arch, facts->os);
	put_line(out, "machine", text, "");
	put_line(out, "features", facts->features, "none known");
	put_line(out, "widest", checkup->isa, "not known");
	fprintf(out, "%-12s%ld KiB L1d, %ld KiB L2, %ld KiB last level", "caches",
		facts->l1d_bytes >> 10, facts->l2_bytes >> 10, facts->llc_bytes >> 10);
	if (checkup->page_bytes > 0)
		fprintf(out, "; pages of %lld KiB", checkup->page_bytes >> 10);
	fputc('\n', out);
	snprintf(text, sizeof(text), "%s%s%s%s%s", facts->counters,
		 *facts->events ? "; counted: " : "", facts->events,
		 *facts->why ? "; not counted: " : "", facts->why);
	put_line(out, "counters", text, "");
	if (facts->clock_ns > 0)
		fprintf(out, "%-12sticks of %.0f ns\n", "clock", facts->clock_ns);
	print_zones(out, checkup);
	put_line(out, "battery", facts->battery, "none readable");
	snprintf(text, sizeof(text), "%s", facts->energy);
	if (checkup->power_uw != CHECKUP_ABSENT)
		snprintf(text, sizeof(text), "%s; now %.2f W", facts->energy,
			 1e-6 * (double)checkup->power_uw);
	put_line(out, "energy", text, "none readable");
}

static void print_classes(FILE *out, const struct checkup *checkup)
{
	fprintf(out, "\n%-5s  %-20s %-12s %9s %9s %9s %9s  %-12s %s\n", "class", "cores", "part",
		"capacity", "MHz from", "to", "now", "governor", "cpus");
	for (int i = 0; i < checkup->n_classes; i++) {
		const struct checkup_class *c = &checkup->classes[i];
		char from[32], to[32], now[32], capacity[32] = "-";

		if (c->capacity > 0)
			snprintf(capacity, sizeof(capacity), "%lld", c->capacity);
		fprintf(out, "%-5d  ", i);
		fprintf(out, "%-20s %-12s %9s %9s %9s %9s  %-12s ", *c->name ? c->name : "unknown",
			*c->part ? c->part : "-", capacity, mhz(c->min_khz, from),
			mhz(c->max_khz, to), mhz(c->cur_khz, now),
			*c->governor ? c->governor : "-");
		put(out, *c->cpus ? c->cpus : "-");
		fputc('\n', out);
	}
}

static void print_speeds(FILE *out, const struct checkup *checkup)
{
	fprintf(out, "\n%-5s  %-20s %7s %9s %12s %11s\n", "class", "cores", "threads", "GB/s",
		"int8 GMAC/s", "canary ms");
	for (int i = 0; i < checkup->n_classes; i++) {
		const struct checkup_class *c = &checkup->classes[i];

		for (int j = 0; j < c->n_speeds; j++) {
			const struct checkup_speed *speed = &c->speeds[j];

			fprintf(out, "%-5d  %-20s %7ld ", i, *c->name ? c->name : "unknown",
				speed->n_threads);
			if (*speed->why)
				fprintf(out, "%9s %12s %11s\n", "-", "-", "-");
			else
				fprintf(out, "%9.1f %12.1f %11.2f\n", speed->dram_gbps,
					speed->int8_gmacs, 1e-6 * speed->canary_ns);
		}
	}
}

void checkup_print(FILE *out, const struct checkup *checkup)
{
	struct advice advice;

	print_facts(out, checkup);
	print_classes(out, checkup);
	print_speeds(out, checkup);
	conclude(checkup, &advice);
	fputs(advice.n ? "\nWhat disturbs measurements here, and what helps:\n"
		       : "\nNothing was found that disturbs measurements.\n",
	      out);
	for (size_t i = 0; i < advice.n; i++) {
		fputs("  - ", out);
		put(out, advice.list[i]);
		fputc('\n', out);
	}
	free_advice(&advice);
}

/* ---- for programs ---- */

/* Bytes beyond ASCII are taken for Latin-1, so that the text is valid whatever they are. */
static void put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* comma: what stands before the key. */
static void put_key(FILE *out, const char *comma, const char *key)
{
	fputs(comma, out);
	put_string(out, key);
	fputs(": ", out);
}

static void json_text(FILE *out, const char *comma, const char *key, const char *text)
{
	put_key(out, comma, key);
	if (*text)
		put_string(out, text);
	else
		fputs("null", out);
}

static void json_number(FILE *out, const char *comma, const char *key, long long number)
{
	put_key(out, comma, key);
	if (number == CHECKUP_ABSENT)
		fputs("null", out);
	else
		fprintf(out, "%lld", number);
}

static void json_double(FILE *out, const char *comma, const char *key, double number)
{
	put_key(out, comma, key);
	if (isfinite(number) && number > 0)
		fprintf(out, "%.6g", number);
	else
		fputs("null", out);
}

/* The words of a list, each a string. */
static void json_words(FILE *out, const char *comma, const char *key, const char *list,
		       const char *separator)
{
	char *copy = fail_text("%s", list), *rest = copy, *word;
	int n = 0;

	put_key(out, comma, key);
	fputc('[', out);
	while ((word = strsep(&rest, separator))) {
		if (!*word)
			continue;
		fputs(n++ ? ", " : "", out);
		put_string(out, word);
	}
	fputc(']', out);
	free(copy);
}

static void json_class(FILE *out, const struct checkup_class *c)
{
	json_text(out, "{", "name", c->name);
	json_text(out, ", ", "part", c->part);
	json_text(out, ", ", "cpus", c->cpus);
	json_text(out, ", ", "governor", c->governor);
	json_number(out, ", ", "capacity", c->capacity);
	json_number(out, ", ", "min_khz", c->min_khz);
	json_number(out, ", ", "max_khz", c->max_khz);
	json_number(out, ", ", "limit_khz", c->limit_khz);
	json_number(out, ", ", "cur_khz", c->cur_khz);
	put_key(out, ", ", "speeds");
	for (int i = 0; i < c->n_speeds; i++) {
		const struct checkup_speed *speed = &c->speeds[i];

		fputs(i ? ", " : "[", out);
		json_number(out, "{", "threads", speed->n_threads);
		json_double(out, ", ", "dram_gbps", speed->dram_gbps);
		json_double(out, ", ", "int8_gmacs", speed->int8_gmacs);
		json_double(out, ", ", "canary_ns", speed->canary_ns);
		json_double(out, ", ", "canary_most_ns", speed->canary_most_ns);
		json_text(out, ", ", "why", speed->why);
		fputc('}', out);
	}
	fputs(c->n_speeds ? "]}" : "[]}", out);
}

void checkup_print_json(FILE *out, const struct checkup *checkup)
{
	const struct facts *facts = &checkup->facts;
	struct advice advice;

	json_text(out, "{", "device", checkup->device);
	json_text(out, ",\n ", "at", checkup->at ? checkup->at : "");
	json_text(out, ",\n ", "cpu", facts->cpu);
	json_text(out, ",\n ", "kernel", facts->os);
	json_text(out, ",\n ", "boot", checkup->boot);
	json_text(out, ",\n ", "arch", facts->arch);
	json_words(out, ",\n ", "features", facts->features, " ");
	json_number(out, ",\n ", "cores", facts->cores);
	json_text(out, ",\n ", "allowed", checkup->allowed);
	json_number(out, ",\n ", "l1d_bytes", facts->l1d_bytes);
	json_number(out, ",\n ", "l2_bytes", facts->l2_bytes);
	json_number(out, ",\n ", "llc_bytes", facts->llc_bytes);
	json_number(out, ",\n ", "page_bytes", checkup->page_bytes);
	json_double(out, ",\n ", "clock_ns", facts->clock_ns);
	json_text(out, ",\n ", "counters", facts->counters);
	json_words(out, ",\n ", "events", facts->events, ",");
	json_text(out, ",\n ", "why", facts->why);
	json_text(out, ",\n ", "isa", checkup->isa);
	json_text(out, ",\n ", "paranoid", facts->paranoid);
	json_number(out, ",\n ", "temp_mc", checkup->temp_mc);
	json_text(out, ",\n ", "zone", checkup->zone);
	json_words(out, ",\n ", "zones", checkup->zones, ",");
	json_number(out, ",\n ", "throttled", checkup->throttled);
	json_text(out, ",\n ", "battery", facts->battery);
	json_number(out, ",\n ", "charging", checkup->charging);
	json_words(out, ",\n ", "sensors", facts->energy, ",");
	json_number(out, ",\n ", "power_uw", checkup->power_uw);
	json_number(out, ",\n ", "energy_uj", checkup->energy_uj);
	json_text(out, ",\n ", "source", checkup->source);
	put_key(out, ",\n ", "classes");
	for (int i = 0; i < checkup->n_classes; i++) {
		fputs(i ? ",\n  " : "[\n  ", out);
		json_class(out, &checkup->classes[i]);
	}
	fputs(checkup->n_classes ? "]" : "[]", out);
	conclude(checkup, &advice);
	put_key(out, ",\n ", "advice");
	for (size_t i = 0; i < advice.n; i++) {
		fputs(i ? ",\n  " : "[\n  ", out);
		put_string(out, advice.list[i]);
	}
	fputs(advice.n ? "]}\n" : "[]}\n", out);
	free_advice(&advice);
}
