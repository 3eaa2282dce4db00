/* lib/hyperv_vss.c - an application's end of hv_appvss_dev.
 *
 * One question is open at a time: the driver asks the next one when this one
 * was answered, or when it no longer waits for the answer. What the library
 * remembers is that question, so that a late answer is told from a good one,
 * and the FREEZE whose end has not been told yet, so that a driver that goes
 * away still gives the application its ABORT.
 *
 * The character device says "nothing there" by a record with status 1, the
 * socket by EAGAIN; that and the calls are all that differs.
 */
#include <hyperv/vss.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/devc.h"
#include "vss/vss_devmsg.h"

#define API __attribute__((visibility("default")))

#define CHARDEV "/dev/hv_appvss_dev"
#define RUN_DIR "/run/hyperv"

struct hv_vss {
	struct devc dev;
	struct hv_vss_record asked;	/* opt NONE: nothing to answer */
	bool held;			/* FREEZE was read, its end was not */
	uint64_t held_id;
	bool gone;
	char reason[HV_VSS_TEXT_MAX + 1];	/* the driver's last complaint */
};

/* Opening ---------------------------------------------------------------- */

static int open_socket_below(struct devc *d, const char *run_dir)
{
	char path[108];
	int n = snprintf(path, sizeof(path), "%s/dev/hv_appvss_dev", run_dir);

	return n < (int)sizeof(path) ? devc_open(d, path) : -ENAMETOOLONG;
}

static int open_default(struct devc *d)
{
	const char *run_dir = secure_getenv("HYPERV_RUN_DIR");
	int r = devc_open(d, CHARDEV);

	return r != -ENOENT ? r : open_socket_below(d, run_dir ? run_dir :
						    RUN_DIR);
}

static int send_record(struct hv_vss *v, const struct hv_vss_record *r)
{
	struct hv_vss_record copy = *r;
	uint8_t buf[VSS_RECORD_SIZE];

	if (v->gone)
		return -EPIPE;
	if (v->dev.chardev)
		return ioctl(v->dev.fd, IOCHVVSSWRITE, &copy) < 0 ? -errno : 0;
	vss_record_put(buf, r);
	return devc_send(&v->dev, buf, sizeof(buf));
}

/* The histories' name for us. A driver that does not know HELLO takes it for
 * an answer to no question. */
static int say_hello(struct hv_vss *v, const char *name)
{
	struct hv_vss_record r = { .opt = HV_VSS_HELLO };

	vss_record_set_text(&r, name ? name : program_invocation_short_name);
	return send_record(v, &r);
}

API int hv_vss_open(struct hv_vss **out, const char *path, const char *name)
{
	struct hv_vss *v = calloc(1, sizeof(*v));
	int r;

	*out = NULL;
	if (!v)
		return -ENOMEM;
	r = path ? devc_open(&v->dev, path) : open_default(&v->dev);
	if (r == 0)
		r = say_hello(v, name);
	if (r < 0) {
		hv_vss_close(v);
		return r;
	}
	*out = v;
	return 0;
}

API void hv_vss_close(struct hv_vss *v)
{
	if (!v)
		return;
	devc_close(&v->dev);
	free(v);
}

API int hv_vss_fd(const struct hv_vss *v)
{
	return v->dev.fd;
}

/* Questions and answers -------------------------------------------------- */

static int recv_chardev(struct hv_vss *v, struct hv_vss_record *r)
{
	*r = (struct hv_vss_record){ 0 };
	if (ioctl(v->dev.fd, IOCHVVSSREAD, r) == 0)
		return r->status ? -EAGAIN : 0;
	return errno == EINTR || errno == EAGAIN ? -EAGAIN :
	       errno == ENODEV || errno == ENXIO || errno == EBADF ? -EPIPE :
	       -errno;
}

static int recv_socket(struct hv_vss *v, struct hv_vss_record *r)
{
	uint8_t buf[VSS_RECORD_SIZE];
	ssize_t n;

	do {		/* what is no record is none of ours */
		n = devc_recv(&v->dev, buf, sizeof(buf));
	} while (n == -EMSGSIZE || (n >= 0 &&
				    vss_record_get(r, buf, (size_t)n) < 0));
	return n < 0 ? (int)n : 0;
}

static void remember(struct hv_vss *v, const struct hv_vss_record *r)
{
	v->asked = *r;
	if (r->opt == HV_VSS_FREEZE) {
		v->held = true;
		v->held_id = r->msgid;
	} else if (r->opt == HV_VSS_THAW || r->opt == HV_VSS_ABORT) {
		v->held = false;
	}
}

/* Nobody is left to answer to, but the hold has to end. */
static int driver_gone(struct hv_vss *v, struct hv_vss_record *r)
{
	*r = (struct hv_vss_record){ 0 };
	if (v->held) {
		r->opt = HV_VSS_ABORT;
		r->msgid = v->held_id;
	}
	v->held = false;
	v->gone = true;
	v->asked.opt = HV_VSS_NONE;
	return -EPIPE;
}

/* A record that asks nothing is a complaint about what we sent, or that we are
 * not wanted. */
static int recv_question(struct hv_vss *v, struct hv_vss_record *r)
{
	int err;

	for (;;) {
		err = v->dev.chardev ? recv_chardev(v, r) : recv_socket(v, r);
		if (err < 0 || r->opt != HV_VSS_NONE)
			return err;
		vss_record_text(v->reason, r);
	}
}

API const char *hv_vss_reason(const struct hv_vss *v)
{
	return v->reason;
}

API int hv_vss_read(struct hv_vss *v, struct hv_vss_record *r)
{
	int err;

	if (v->gone)
		return driver_gone(v, r);
	err = recv_question(v, r);
	if (err == -EAGAIN) {
		*r = (struct hv_vss_record){ 0 };
		return 0;
	}
	if (err < 0)
		return driver_gone(v, r);
	remember(v, r);
	return 1;
}

API int hv_vss_answer(struct hv_vss *v, const struct hv_vss_record *question,
		      int status, const char *why)
{
	struct hv_vss_record r = { .opt = question->opt,
				   .msgid = question->msgid };
	int err;

	if (status != HV_VSS_OK && status != HV_VSS_FAIL)
		return -EINVAL;
	if (v->gone)
		return -EPIPE;
	if (question->opt == HV_VSS_NONE || question->opt != v->asked.opt ||
	    question->msgid != v->asked.msgid)
		return -ESTALE;
	r.status = (uint32_t)status;
	if (why && status == HV_VSS_FAIL)
		vss_record_set_text(&r, why);
	err = send_record(v, &r);
	if (err == 0)
		v->asked.opt = HV_VSS_NONE;
	return err;
}

API int hv_vss_note(struct hv_vss *v, const struct hv_vss_record *question,
		    const char *part, int status, uint32_t took_ms)
{
	struct hv_vss_record r = { .opt = HV_VSS_NOTE,
				   .msgid = question->msgid };

	if (!part || (status != HV_VSS_OK && status != HV_VSS_FAIL))
		return -EINVAL;
	r.status = (uint32_t)status;
	vss_record_set_note(&r, question->opt, took_ms, part);
	return send_record(v, &r);
}

/* Serving ---------------------------------------------------------------- */

typedef int (*handler_fn)(void *arg, const struct hv_vss_record *q,
			  char why[48]);

static handler_fn handler_of(const struct hv_vss_handler *h, uint32_t opt)
{
	switch (opt) {
	case HV_VSS_CHECK:
		return h->check;
	case HV_VSS_FREEZE:
		return h->freeze;
	case HV_VSS_THAW:
		return h->thaw;
	case HV_VSS_ABORT:
		return h->abort ? h->abort : h->thaw;
	default:
		return NULL;
	}
}

static bool known(uint32_t opt)
{
	return opt >= HV_VSS_CHECK && opt <= HV_VSS_ABORT;
}

static int handle(struct hv_vss *v, const struct hv_vss_record *q,
		  const struct hv_vss_handler *h, void *arg)
{
	handler_fn fn = handler_of(h, q->opt);
	char why[HV_VSS_TEXT_MAX + 1] = "";
	int r = 0;

	if (!known(q->opt)) {
		r = -EOPNOTSUPP;
		strcpy(why, "unknown question");
	} else if (fn) {
		r = fn(arg, q, why);
	}
	why[HV_VSS_TEXT_MAX] = '\0';
	if (r < 0 && !why[0])
		snprintf(why, sizeof(why), "%s", strerror(-r));
	return hv_vss_answer(v, q, r < 0 ? HV_VSS_FAIL : HV_VSS_OK, why);
}

/* 1 readable, 0 not in time, -errno. */
static int wait_readable(struct hv_vss *v, int timeout_ms)
{
	struct pollfd p = { v->dev.fd, POLLIN, 0 };
	int r = poll(&p, 1, timeout_ms);

	return r < 0 ? -errno : r;
}

API int hv_vss_serve(struct hv_vss *v, const struct hv_vss_handler *h,
		     void *arg, int timeout_ms)
{
	struct hv_vss_record q;
	int r = v->gone ? 1 : wait_readable(v, timeout_ms);

	if (r <= 0)
		return r;
	r = hv_vss_read(v, &q);
	if (r == -EPIPE && q.opt == HV_VSS_ABORT)
		handle(v, &q, h, arg);
	if (r <= 0)
		return r;
	r = handle(v, &q, h, arg);
	/* An answer that came too late was served all the same: what follows
	 * tells how it ended. So was one that finds the driver gone. */
	return r < 0 && r != -ESTALE && r != -EPIPE ? r : 1;
}

/* For people ------------------------------------------------------------- */

API const char *hv_vss_opt_name(unsigned opt)
{
	switch (opt) {
	case HV_VSS_NONE:
		return "none";
	case HV_VSS_CHECK:
		return "check";
	case HV_VSS_FREEZE:
		return "freeze";
	case HV_VSS_THAW:
		return "thaw";
	case HV_VSS_ABORT:
		return "abort";
	case HV_VSS_HELLO:
		return "hello";
	case HV_VSS_NOTE:
		return "note";
	default:
		return "unknown";
	}
}

API const char *hv_vss_strerror(int err)
{
	switch (err) {
	case -ENOENT:
		return "no driver runs: there is no application device";
	case -ECONNREFUSED:
		return "no driver runs: nobody serves the application device";
	case -EACCES:
		return "not allowed to open the application device";
	case -EBUSY:
	case -EUSERS:
		return "as many applications as there may be are there";
	case -EPIPE:
		return "the driver went away, or closed this application";
	case -ESTALE:
		return "the answer came too late, or to no question";
	default:
		return strerror(err < 0 ? -err : err);
	}
}
