/* prog/hvhost.h - what the files of hvhost share. */
#ifndef HVHOST_H
#define HVHOST_H

#include <jansson.h>
#include <stddef.h>

#include "base/options.h"

/* Exit codes, documented in hvhost(8). */
enum {
	HVHOST_OK = 0,
	HVHOST_NO = 1,		/* the guest said no, or is not there; a
				 * scenario or replay failed */
	HVHOST_USAGE = 2,
	HVHOST_REFUSED = 3,	/* the host would not do it */
	HVHOST_UNREACHABLE = 4,	/* no host there */
	HVHOST_TIMEOUT = 5,
	HVHOST_IO = 6,		/* the output could not be written */
	HVHOST_OFFLINE = 7,	/* the backup goes on offline */
};

enum { HVHOST_OPERANDS = 8, HVHOST_PATH = 108 };

/* What a verb's command line came to. */
struct hvhost_args {
	const char *program;		/* "hvhost kvp get" */
	const char *dir;		/* --dir, or NULL */
	int n;
	const char *operand[HVHOST_OPERANDS];
};

/* Parse a verb's options (dir is added to defs by the caller) and collect its
 * operands, which may stand anywhere among them. Returns 0, or an exit code
 * plus 1. */
int hvhost_parse(struct hvhost_args *a, const struct options_text *t,
		 const struct option_def *defs, int least, int most, int argc,
		 char **argv);

/* DIR/name in out; DIR is `dir`, or the default. 0, or -1 when said why not. */
int hvhost_path(char out[HVHOST_PATH], const char *dir, const char *name);

/* A verb: argv[0] is its name; returns the exit code. */
struct hvhost_verb {
	const char *name, *operands, *summary;
	int (*run)(int argc, char **argv);
};

/* Run the verb that argv[1] names, or print the table. */
int hvhost_dispatch(const char *program, const char *summary,
		    const struct hvhost_verb *verbs, int argc, char **argv);

/* hvhost_run.c */
int hvhost_run(int argc, char **argv);
/* hvhost_replay.c */
int hvhost_replay(int argc, char **argv);
int hvhost_trace(int argc, char **argv);
/* hvhost_client.c */
int hvhost_status(int argc, char **argv);
int hvhost_wait(int argc, char **argv);
int hvhost_rescind(int argc, char **argv);
int hvhost_offer(int argc, char **argv);
int hvhost_renegotiate(int argc, char **argv);
int hvhost_restart(int argc, char **argv);
int hvhost_clock(int argc, char **argv);
/* hvhost_kvp.c */
int hvhost_kvp(int argc, char **argv);
/* hvhost_vss.c */
int hvhost_vss(int argc, char **argv);

/* Ask the host. Returns its reply (a new reference) or NULL, with the exit
 * code in *code and a sentence on stderr. A reply that is not ok is also said,
 * and gives NULL. Drops the reference to request. */
json_t *hvhost_ask(const char *dir, json_t *request, int timeout_ms,
		   int *code);
/* The exit code that a reply's "result" and "status" stand for. */
int hvhost_code(const json_t *reply);
/* No reply came: say why. Returns the exit code. */
int hvhost_unreachable(const char *path, int err);
/* A JSON file could not be read, or (e NULL) is no `wanted`. */
void hvhost_bad_json(const char *path, const json_error_t *e,
		     const char *wanted);
void hvhost_print_json(const json_t *j);

#endif
