/* run_chat.h: the command `quern-run chat`. */
#ifndef QN_RUN_CHAT_H
#define QN_RUN_CHAT_H

/* As run_kernels. */
int run_chat(int argc, char **argv);

#endif
