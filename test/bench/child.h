/* test/bench/child.h - programs that a bench starts and always ends again:
 * also when the bench itself is killed. */
#ifndef CHILD_H
#define CHILD_H

#include <sys/types.h>

/* Start argv[0] with its standard output and error going to the file `log`;
 * env is NULL-terminated "NAME=value" strings added to our environment, or
 * NULL. The process, or -errno. */
pid_t child_start(char *const argv[], char *const env[], const char *log);
/* SIGTERM, and SIGKILL when that is not heard; reaps it. pid <= 0 is fine. */
void child_end(pid_t pid);

/* Remove dir and all below it. */
void tree_remove(const char *dir);

#endif
