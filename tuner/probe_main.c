/* probe_main.c: quern-probe, which serves standard input and output, or a folder (serve.h). */
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "probe.h"
#include "serve.h"
#include "runtime/quern.h"

int main(int argc, char **argv)
{
	struct quern_error err;
	int status = 0;

	if (argc == 1) {
		status = probe_serve(stdin, stdout, &err);
	} else if (argc == 3 && !strcmp(argv[1], "serve")) {
		status = serve_start(argv[2], probe_serve, &err);
	} else if (argc == 3 && !strcmp(argv[1], "attach")) {
		attach_run(argv[2]);
	} else {
		fprintf(stderr,
			"quern: usage: quern-probe [serve FOLDER | attach FOLDER]; without "
			"words it reads requests, one a line (try: echo hello | quern-probe)\n");
		return 2;
	}
	if (status < 0) {
		fprintf(stderr, "quern: %s\n", err.text);
		return 1;
	}
	return 0;
}
