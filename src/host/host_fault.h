/* host/host_fault.h - what goes wrong with one message, as data.
 *
 * One table names every fault; each works alone and together with any other.
 * In JSON a fault is an object with one member a fault, for example
 * {"late-ms": 500, "key-size": 3}. All zero means no fault.
 */
#ifndef HOST_FAULT_H
#define HOST_FAULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { HOST_FAULT_SETS = 8, HOST_FAULT_BYTES = 64 };

struct host_fault {
	/* When, and how often, it is sent. */
	uint32_t late_ms, duplicate;	/* duplicate: sent this often more */
	uint32_t lost;			/* 1: not sent, though we wait */
	uint32_t no_wait;		/* 1: though an answer is outstanding */
	uint32_t no_interrupt;		/* 1: without ringing the doorbell */
	/* What its bytes are. */
	unsigned n_set;
	struct {
		uint8_t row;		/* of the table of faults */
		uint32_t value;
	} set[HOST_FAULT_SETS];
	uint32_t patch_at, patch_len;	/* offset from the pipe header */
	uint8_t patch[HOST_FAULT_BYTES];
	uint32_t truncate;		/* left of it in bytes, plus 1; 0: all */
	uint32_t pad;			/* more bytes than declared */
	uint32_t oversize;		/* more bytes, declared */
};

/* Read a fault. 0, or -EINVAL and a sentence in err that names the member. */
int host_fault_parse(struct host_fault *f, const json_t *json, char *err,
		     size_t err_len);

/* A fault of one random row that changes bytes; the same seed gives the same
 * fault. *seed moves on. */
void host_fault_random(struct host_fault *f, uint64_t *seed);

/* Change the message of len bytes in msg, room for cap. Returns its length. */
size_t host_fault_apply(const struct host_fault *f, uint8_t *msg, size_t len,
			size_t cap);

/* Does it change bytes, so that no sane answer can be asked for? */
bool host_fault_mangles(const struct host_fault *f);

/* Print the table. */
void host_fault_list(FILE *out);

#endif
