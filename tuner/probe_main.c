/* probe_main.c: quern-probe, which serves standard input and output until one of them ends. */
#include <stdio.h>

#include "probe.h"
#include "runtime/quern.h"

int main(int argc, char **argv)
{
	struct quern_error err;

	(void)argv;
	if (argc > 1) {
		fprintf(stderr, "quern: quern-probe takes no arguments; it reads requests, "
				"one a line (try: echo hello | quern-probe)\n");
		return 2;
	}
	if (probe_serve(stdin, stdout, &err) < 0) {
		fprintf(stderr, "quern: %s\n", err.text);
		return 1;
	}
	return 0;
}
