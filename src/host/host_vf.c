/* host/host_vf.c - theory of operation.
 *
 * The state follows OpenVMM's, with what it keeps in names ("gone from
 * switched") kept in flags:
 *
 *   AVAILABLE   -> ADVERTISED  the guest listens: it is told
 *   ADVERTISED  -> READY       the device has come; sooner when the guest asks
 *                              for the VF first
 *   READY       -> PENDING     the guest asks for the VF
 *   SWITCHED    -> PENDING     ... or for the synthetic path
 *   PENDING     -> SWITCHED    to the VF done, or back failed
 *   PENDING     -> READY       back done, or to the VF failed: then a notice,
 *                              after the completion, says so
 *   any         -> UNAVAILABLE withdrawn: what is pending is completed, if the
 *                              path was or was to be the VF a notice follows,
 *                              then the association ends
 *
 * A request that makes no sense in its state is completed and ignored. Frames
 * leave the VF before the guest hears of it, in every order: nothing is sent
 * to a device that is on its way out.
 *
 * Three things can be late: the device (or, device_first, the association),
 * the change of path, and the second half of a withdrawal. Each has a timer;
 * the last one outlives the VF, and until it fires no other may come.
 *
 * Sources: OpenVMM netvsp (lib.rs), openhcl emuplat/netvsp. */
#include "host/host_vf.h"

#include <errno.h>
#include <stdlib.h>

struct host_vf {
	struct loop *loop;
	struct host_vf_manners manners;
	const struct host_vf_ops *ops;
	void *arg;
	enum host_vf_state state;
	bool listens;			/* the guest can be told */
	bool told, device;
	uint32_t serial;
	/* Of the one that goes. */
	bool told_before, device_before;
	bool notice_owed;		/* frames left it unannounced */
	uint32_t serial_before;
	enum nvs_path path;		/* where frames go */
	enum nvs_path wanted;		/* PENDING: where they are to go */
	struct loop_timer offer, change, going;
	struct host_vf_stats stats;
};

static void enter(struct host_vf *v, enum host_vf_state s)
{
	if (v->state == s)
		return;
	v->state = s;
	if (v->ops->changed)
		v->ops->changed(v->arg, s);
}

static void steer(struct host_vf *v, enum nvs_path path)
{
	if (v->path == path)
		return;
	v->path = path;
	v->ops->steer(v->arg, path);
}

/* Coming ----------------------------------------------------------------- */

/* Told and there: which state that is depends on the path, which outlives the
 * channel. */
static void arrived(struct host_vf *v)
{
	if (v->state != HOST_VF_AVAILABLE && v->state != HOST_VF_ADVERTISED)
		return;
	if (!v->told)
		return;
	if (!v->device)
		enter(v, HOST_VF_ADVERTISED);
	else
		enter(v, v->path == NVS_PATH_VF ? HOST_VF_SWITCHED :
						  HOST_VF_READY);
}

static void tell(struct host_vf *v)
{
	if (v->told || !v->listens)
		return;
	v->told = true;
	v->ops->tell(v->arg, true, v->serial);
}

static void show_device(struct host_vf *v)
{
	if (v->device)
		return;
	loop_timer_cancel(&v->offer);
	v->device = true;
	v->ops->device(v->arg, true, v->serial);
}

/* The second half of coming. */
static void offer_due(void *arg)
{
	struct host_vf *v = arg;

	if (v->device)
		tell(v);
	else
		show_device(v);
	arrived(v);
}

/* The guest listens and there is a VF that it was not told of. */
static void announce(struct host_vf *v)
{
	bool again = v->device;		/* it only missed the message */

	if (v->state != HOST_VF_AVAILABLE || !v->listens || v->offer.set)
		return;
	if (v->manners.device_first && !again)
		show_device(v);
	else
		tell(v);
	arrived(v);
	if (!v->told || !v->device)
		loop_timer_set(&v->offer, v->manners.offer_ms);
}

int host_vf_attach(struct host_vf *v, uint32_t serial)
{
	if (!serial)
		return -EINVAL;
	if (v->state != HOST_VF_UNAVAILABLE)
		return -EEXIST;
	if (v->going.set)
		return -EBUSY;
	v->serial = serial;
	v->told = v->device = false;
	v->stats.attached++;
	enter(v, HOST_VF_AVAILABLE);
	announce(v);
	return 0;
}

/* The path --------------------------------------------------------------- */

static bool fails(const struct host_vf *v)
{
	return v->wanted == NVS_PATH_VF ? v->manners.to_vf_fails :
					  v->manners.to_synthetic_fails;
}

static void count_change(struct host_vf *v)
{
	if (fails(v))
		v->stats.failed++;
	else if (v->wanted == NVS_PATH_VF)
		v->stats.to_vf++;
	else
		v->stats.to_synthetic++;
}

/* Steer first: the completion says that it is done. */
static void change_due(void *arg)
{
	struct host_vf *v = arg;
	bool failed = fails(v);

	count_change(v);
	if (!failed)
		steer(v, v->wanted);
	enter(v, v->path == NVS_PATH_VF ? HOST_VF_SWITCHED : HOST_VF_READY);
	v->ops->path_done(v->arg);
	if (failed && v->wanted == NVS_PATH_VF)
		v->ops->path_notice(v->arg);
}

static bool makes_sense(const struct host_vf *v, enum nvs_path path)
{
	switch (v->state) {
	case HOST_VF_ADVERTISED:
	case HOST_VF_READY:
		return path == NVS_PATH_VF;
	case HOST_VF_SWITCHED:
		return path == NVS_PATH_SYNTHETIC;
	default:
		return false;
	}
}

void host_vf_asked(struct host_vf *v, enum nvs_path path)
{
	/* It saw the device go before it was told: what it asks for is so. */
	if (path == NVS_PATH_SYNTHETIC)
		v->notice_owed = false;
	if (v->going.set || !makes_sense(v, path)) {
		v->stats.ignored++;
		v->ops->path_done(v->arg);
		return;
	}
	show_device(v);			/* it does not wait for the timer */
	v->wanted = path;
	enter(v, HOST_VF_PENDING);
	if (v->manners.switch_ms)
		loop_timer_set(&v->change, v->manners.switch_ms);
	else
		change_due(v);
}

/* Completes what is pending and leaves the VF's path; says so if it was, or
 * was to be, the VF's. */
static void leave_path(struct host_vf *v)
{
	bool pending = v->state == HOST_VF_PENDING;
	bool was = v->path == NVS_PATH_VF || v->notice_owed ||
		   (pending && v->wanted == NVS_PATH_VF);

	loop_timer_cancel(&v->change);
	v->notice_owed = false;
	steer(v, NVS_PATH_SYNTHETIC);
	if (was)
		v->stats.fallbacks++;
	if (pending)
		v->ops->path_done(v->arg);
	if (was)
		v->ops->path_notice(v->arg);
}

int host_vf_fall_back(struct host_vf *v)
{
	if (v->state != HOST_VF_SWITCHED && v->state != HOST_VF_PENDING)
		return -EALREADY;
	leave_path(v);
	enter(v, HOST_VF_READY);
	return 0;
}

/* Going ------------------------------------------------------------------ */

static void hide_device(struct host_vf *v)
{
	if (!v->device_before)
		return;
	v->device_before = false;
	v->ops->device(v->arg, false, v->serial_before);
}

/* The messages of a withdrawal: they are of the VF that goes. */
static void say_gone(struct host_vf *v)
{
	leave_path(v);
	if (v->told_before)
		v->ops->tell(v->arg, false, v->serial_before);
	v->told_before = false;
	enter(v, HOST_VF_UNAVAILABLE);
}

/* The second half of going. */
static void going_due(void *arg)
{
	struct host_vf *v = arg;

	if (v->state != HOST_VF_UNAVAILABLE)
		say_gone(v);
	hide_device(v);
}

static void begin_to_go(struct host_vf *v)
{
	loop_timer_cancel(&v->offer);
	v->serial_before = v->serial;
	v->told_before = v->told;
	v->device_before = v->device;
	v->serial = 0;
	v->told = v->device = false;
}

static int withdraw(struct host_vf *v, bool device_first)
{
	if (v->state == HOST_VF_UNAVAILABLE || v->going.set)
		return -ENODEV;
	begin_to_go(v);
	/* Set first: a callback must not attach another one in between. */
	loop_timer_set(&v->going, v->manners.revoke_ms);
	if (device_first) {
		loop_timer_cancel(&v->change);
		v->notice_owed = v->path == NVS_PATH_VF;
		steer(v, NVS_PATH_SYNTHETIC);
		hide_device(v);
	} else {
		say_gone(v);
	}
	if (!v->manners.revoke_ms) {
		loop_timer_cancel(&v->going);
		going_due(v);
	}
	return 0;
}

int host_vf_detach(struct host_vf *v)
{
	int err = withdraw(v, v->manners.device_goes_first);

	v->stats.detached += !err;
	return err;
}

int host_vf_yank(struct host_vf *v)
{
	int err = withdraw(v, true);

	v->stats.yanked += !err;
	return err;
}

/* The guest -------------------------------------------------------------- */

/* Its channel went. The VF and the path stay; the next channel is told. */
static void deaf(struct host_vf *v)
{
	if (v->state == HOST_VF_UNAVAILABLE)
		return;
	if (v->state == HOST_VF_PENDING) {
		loop_timer_cancel(&v->change);
		v->ops->path_done(v->arg);	/* nobody waits any more */
	}
	loop_timer_cancel(&v->offer);
	v->told = v->told_before = v->notice_owed = false;
	enter(v, HOST_VF_AVAILABLE);
}

void host_vf_guest(struct host_vf *v, bool listens)
{
	if (v->listens == listens)
		return;
	v->listens = listens;
	if (!listens)
		deaf(v);
	else if (!v->going.set)
		announce(v);
}

/* Life ------------------------------------------------------------------- */

struct host_vf *host_vf_new(struct loop *l, const struct host_vf_manners *m,
			    const struct host_vf_ops *ops, void *arg)
{
	struct host_vf *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->loop = l;
	v->manners = *m;
	v->ops = ops;
	v->arg = arg;
	loop_timer_init(&v->offer, l, offer_due, v);
	loop_timer_init(&v->change, l, change_due, v);
	loop_timer_init(&v->going, l, going_due, v);
	return v;
}

void host_vf_free(struct host_vf *v)
{
	if (!v)
		return;
	loop_timer_cancel(&v->offer);
	loop_timer_cancel(&v->change);
	loop_timer_cancel(&v->going);
	free(v);
}

void host_vf_manners_set(struct host_vf *v, const struct host_vf_manners *m)
{
	v->manners = *m;
}

enum host_vf_state host_vf_state_get(const struct host_vf *v)
{
	return v->state;
}

const char *host_vf_state_name(enum host_vf_state s)
{
	static const char *const names[] = {
		[HOST_VF_UNAVAILABLE] = "unavailable",
		[HOST_VF_AVAILABLE] = "available",
		[HOST_VF_ADVERTISED] = "advertised",
		[HOST_VF_READY] = "ready",
		[HOST_VF_PENDING] = "pending",
		[HOST_VF_SWITCHED] = "switched",
	};

	return names[s];
}

uint32_t host_vf_serial(const struct host_vf *v)
{
	return v->serial;
}

bool host_vf_has_device(const struct host_vf *v)
{
	return v->device || v->device_before;
}

bool host_vf_is_going(const struct host_vf *v)
{
	return v->going.set;
}

enum nvs_path host_vf_path(const struct host_vf *v)
{
	return v->path;
}

const struct host_vf_stats *host_vf_stats_get(const struct host_vf *v)
{
	return &v->stats;
}
