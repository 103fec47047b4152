/*
 * device.h: what kernels are measured on, and talking to the probe that runs there.
 *
 * A device is a YAML file, devices/NAME.yaml:
 *
 *   quern: device
 *   schema: 1
 *   name: local
 *   compiler: [cc]            how to start the compiler
 *   clang: [[clang-19], [clang]]
 *                             optional: clang for the same target, or several, of which the first
 *                             that works is taken; kernels are then tried with both compilers
 *   flags: [-O3]              for all code, after -std=c11 -D_GNU_SOURCE
 *   link: [-pthread, -lm]     for the probe program, at the end of the line
 *   papi: [-lpapi]            optional: what links PAPI, when it is there
 *   run: ["{program}"]        how to start the probe; {program} becomes its path
 *   environment: {NAME: "1"}  optional: for the probe
 *   time_out: 10              optional: seconds after which a request for a time has failed; slow
 *                             requests (verify, case, prepare, roof) get six times as long
 *   compile_time_out: 120     optional: seconds for one run of the compiler
 *   thermal_gate: true        optional: it heats up, so it is left alone when it gets slow (gate.h)
 *   sustained: 300            optional: after the finals, races under load for which it works so
 *                             many seconds first (sustain.h)
 *   pin: true                 optional: threads stay on their cores and winners are of a kind of
 *                             core even where all cores are alike; elsewhere they are anyway
 *
 * A device at the end of a link has these, too; what is lists are words, never a line for a shell:
 *
 *   copy: [scp, -q, "{file}", "phone:{path}"]
 *                             how to copy a file to the device
 *   run: [ssh, phone, "{command}"]
 *                             how to run a command there; {command} becomes one word, a line
 *                             for the shell of the device in which everything is quoted
 *   work: /data/local/tmp/quern
 *                             a folder of the device; all that a run needs is below it, and
 *                             goes when the run ends
 *   start: [qemu-aarch64]     optional: words before the probe's path, on the device
 *   retries: 10               optional: how often a lost link is tried again, after half a
 *                             second, then twice as long each time, at most 15 s
 *   connect_time_out: 20      optional: seconds for a link to come up; copies get six times as long
 *
 * {at} in words of run and copy becomes what the user names (--at): a host or a serial number.
 *
 * For a device called local the environment's CC and CLANG, words with spaces between, take the
 * place of the compilers; without CLANG and without a key it has the clang of configure.
 */
#ifndef TUNER_DEVICE_H
#define TUNER_DEVICE_H

#include "gen/gen.h"

struct remote;

struct device {
	char name[64];
	char **compiler, **flags, **link, **papi, **run; /* NULL-terminated; papi may be NULL */
	char ***clang;        /* commands, NULL-terminated as each is; NULL: none */
	char **environment;   /* NAME=VALUE, NULL-terminated */
	char **copy, **start; /* copy NULL: no link */
	char *work;
	long retries;
	double time_out_s, compile_time_out_s, connect_time_out_s;
	double sustained_s; /* 0: none */
	int thermal_gate, pin;

	char *at;                                        /* NULL: not given */
	void (*say)(void *context, const char *text);    /* of lost links; NULL: nobody listens */
	void (*greet)(void *context, const char *hello); /* a probe's answer to hello; likewise */
	void *context;                                   /* of both */
	struct remote *remote;                           /* NULL: no link */
};

/* Is name one of a file, or one that home/tuner/devices has?  device_read may still fail. */
int device_is_known(const char *home, const char *name);

/* name: a file (it holds a '/' or ends in .yaml) or one of home/tuner/devices. */
int device_read(struct device *device, const char *home, const char *name, struct gen_error *err);
void device_free(struct device *device); /* leaves it before */

/* What {at} stands for; at may be NULL.  -1: it is needed, or it is not. */
int device_set_at(struct device *device, const char *at, struct gen_error *err);

/*
 * Which run this is: what the same folder of this machine has left on the device is removed by the
 * next.  Without this, a process is a run.
 */
void device_set_run(struct device *device, const char *folder);

/* Removes everything of this run from the device. */
void device_leave(struct device *device);

struct device_probe;

/* The probe's own messages go to the file at log_path. */
struct device_probe *device_start(const struct device *device, const char *program,
				  const char *log_path, struct gen_error *err);

/* Asks it to quit and kills it when it does not; NULL is allowed. */
void device_stop(struct device_probe *probe);

enum device_outcome {
	DEVICE_OK,    /* "ok ..." */
	DEVICE_FAIL,  /* "fail ...": the candidate is to blame */
	DEVICE_ERROR, /* "error ...": the request is */
	DEVICE_DEAD,  /* no use any more, the answer says why; the process has been killed */
	DEVICE_LOST,  /* likewise, but the device is to blame (it was started anew, say) */
	DEVICE_STUCK  /* likewise, and starting again is of no use before somebody helps */
};

/*
 * Sends one request and waits for its answer (PROBE_LINE + 1 bytes), without the first word.  A
 * link that drops is brought up again, and the request is run once all the same.  A user who asks
 * twice to stop is heard at once (DEVICE_DEAD), while there is no link the first time.
 */
enum device_outcome device_ask(struct device_probe *probe, double seconds, const char *request,
			       char *answer);

/* What to do with a probe whose answer made no sense: kills it. */
void device_kill(struct device_probe *probe);

/* Values of an answer "key=value ...": 0, or -1 when absent or malformed.  %xx is decoded. */
int device_value(const char *answer, const char *key, char *text, size_t n_bytes);
int device_value_long(const char *answer, const char *key, long long *value);
int device_value_double(const char *answer, const char *key, double *value);

#endif
