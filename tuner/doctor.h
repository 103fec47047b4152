/* doctor.h: quern device, which lists devices and looks at one. */
#ifndef TUNER_DOCTOR_H
#define TUNER_DOCTOR_H

/* argv[0]: the command's name.  Exit status of the program; it has printed everything. */
int doctor_main(int argc, char **argv, const char *home);

#endif
