/* hyperv/vss.h - take part in a backup that the Hyper-V host makes of this
 * running machine.
 *
 * While the host takes a snapshot of the disks, applications flush and hold
 * still, then the file systems are frozen; afterwards all go on. A program
 * that opens the application device is asked:
 *
 *   CHECK    could you be frozen now?      answer yes or no
 *   FREEZE   flush, and hold still         answer when you do, or no
 *   THAW     it is over, and it worked     go on; answer
 *   ABORT    it is over, and it failed     go on; answer
 *
 * Whoever was asked to FREEZE is told THAW or ABORT, exactly one of them,
 * whatever happens in between. If the driver itself goes away the descriptor
 * reads end of file; hv_vss_wait() makes an ABORT of that. A program that
 * closes the device, or dies, releases its hold.
 *
 * The messages are FreeBSD's hv_vss(4) record. ABORT, HELLO and NOTE, and the
 * use of the reserved bytes, are extensions: a program that does not say HELLO
 * is told THAW in place of ABORT.
 *
 * Errors: 0 or a count, or a negative errno value:
 *   -ENOENT, -ECONNREFUSED   no driver runs
 *   -EACCES                  not allowed to open the device
 *   -EBUSY, -EUSERS          as many applications as there may be have it open
 *   -EPIPE                   the driver went away, or threw us out
 *   -ESTALE                  the answer came too late, or to no question
 *   -EINVAL, -EMSGSIZE       a bad argument; a text too long
 * Threads: one thread at a time for each handle.
 *
 * Link with `pkg-config --libs hyperv`. hyperv_vss(3) has an example.
 */
#ifndef HYPERV_VSS_H
#define HYPERV_VSS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hv_vss_opt {
	HV_VSS_NONE = 0,
	HV_VSS_CHECK = 1,
	HV_VSS_FREEZE = 2,
	HV_VSS_THAW = 3,
	HV_VSS_ABORT = 4,	/* extension */
	/* From the application to the driver; extensions. Not answered. */
	HV_VSS_HELLO = 16,	/* who I am; I understand ABORT */
	HV_VSS_NOTE = 17,	/* what a part of me did, for the history */
};

enum { HV_VSS_OK = 0, HV_VSS_FAIL = 1 };

/* One message, either way, on the character device by ioctl, on the socket as
 * one packet. Little-endian machines only, as Hyper-V is.
 *
 * reserved[] by opt, zero where nothing is said:
 *   CHECK ... ABORT, to the application:
 *       u32 @0   milliseconds that the answer may take
 *       u32 @4   FREEZE: milliseconds that all may stay frozen at most
 *   NONE, to the application, status FAIL: what it sent was refused; then
 *   it may read end of file
 *       text[48] why; msgid: of the message that was refused
 *   an answer (opt and msgid as asked):
 *       text[48] why the status is FAIL, for people; NUL-padded UTF-8
 *   HELLO: text[48] the name to show in histories
 *   NOTE:  u32 @0   phase, enum hv_vss_opt
 *          u32 @4   milliseconds it took
 *          text[40] @8 the part's name; status says how it went
 *          msgid: the one being worked on
 */
struct hv_vss_record {
	uint32_t opt;		/* enum hv_vss_opt */
	uint32_t status;	/* answers and notes: HV_VSS_OK, HV_VSS_FAIL */
	uint64_t msgid;		/* of the question; opaque */
	uint8_t reserved[48];
};

enum {
	HV_VSS_TEXT_MAX = 47,		/* bytes of a reason or a name */
	HV_VSS_NOTE_TEXT_MAX = 39,
};

/* The character device's calls, FreeBSD's definitions. */
#define IOCHVVSSREAD	_IOR('v', 2, struct hv_vss_record)
#define IOCHVVSSWRITE	_IOW('v', 3, struct hv_vss_record)

struct hv_vss;

/* Open the application device. path NULL: the character device
 * /dev/hv_appvss_dev if there, else the socket below $HYPERV_RUN_DIR or
 * /run/hyperv. name (may be NULL: the program's) is what histories show. */
int hv_vss_open(struct hv_vss **v, const char *path, const char *name);
void hv_vss_close(struct hv_vss *v);			/* NULL is fine */

/* For poll(2): readable when hv_vss_read() has something to say. */
int hv_vss_fd(const struct hv_vss *v);

/* The next question. 1; 0 nothing there; -EPIPE the driver is gone: if *r was
 * handed out a FREEZE before and no end, *r is an ABORT to act upon. */
int hv_vss_read(struct hv_vss *v, struct hv_vss_record *r);

/* What the driver last complained about, for people: an answer that it had no
 * question for, or why it closed the device. "" if it did not. */
const char *hv_vss_reason(const struct hv_vss *v);

/* Answer it. why (may be NULL) tells people the reason of a failure; it is
 * cut at a character if too long. */
int hv_vss_answer(struct hv_vss *v, const struct hv_vss_record *question,
		  int status, const char *why);

/* Tell the history how a part of the work went. */
int hv_vss_note(struct hv_vss *v, const struct hv_vss_record *question,
		const char *part, int status, uint32_t took_ms);

/* What to do about each question: 0, or a negative errno value to refuse
 * (THAW and ABORT cannot be refused, failures are recorded). why[] may be
 * filled in. NULL: yes. abort NULL: thaw is called. */
struct hv_vss_handler {
	int (*check)(void *arg, const struct hv_vss_record *q, char why[48]);
	int (*freeze)(void *arg, const struct hv_vss_record *q, char why[48]);
	int (*thaw)(void *arg, const struct hv_vss_record *q, char why[48]);
	int (*abort)(void *arg, const struct hv_vss_record *q, char why[48]);
};

/* Serve one question, waiting up to timeout_ms for it (-1: for ever). 1 served
 * one; 0 none came; -EINTR a signal came; -EPIPE the driver is gone, after
 * abort was called if something was frozen. */
int hv_vss_serve(struct hv_vss *v, const struct hv_vss_handler *h, void *arg,
		 int timeout_ms);

const char *hv_vss_opt_name(unsigned opt);	/* "check" ..., "unknown" */
/* What an error of these calls means, for people. Constant text. */
const char *hv_vss_strerror(int err);

#ifdef __cplusplus
}
#endif

#endif
