/* prog/vss_last_error.c - see vss_last_error.h. */
#include "vss_last_error.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hyperv/kvp.h"

enum { PATIENCE_S = 1, POOL_TO_HOST = 1 };

struct vss_last_error {
	const char *state_dir;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char why[256], result[64];
	bool wanted;		/* why[] is to be written */
	bool written;		/* an item is there, or may be */
	bool result_wanted;	/* result[] is */
	bool hold, writing, end;
};

/* text "": no such item. */
static int write_item(const char *state_dir, const char *key, const char *text)
{
	struct hv_kvp *h;
	int err = hv_kvp_open(&h, POOL_TO_HOST, HV_KVP_WRITE, state_dir);

	if (err)
		return err;
	err = text[0] ? hv_kvp_set(h, key, text) : hv_kvp_delete(h, key);
	hv_kvp_close(h);
	return err == -ENOENT ? 0 : err;
}

static void write_once(struct vss_last_error *e)
{
	char why[sizeof(e->why)], result[sizeof(e->result)];
	bool error = e->wanted, good = e->result_wanted;
	int err = 0;

	memcpy(why, e->why, sizeof(why));
	memcpy(result, e->result, sizeof(result));
	e->wanted = e->result_wanted = false;
	e->writing = true;
	pthread_mutex_unlock(&e->lock);
	if (error)
		err = write_item(e->state_dir, VSS_LAST_ERROR, why);
	if (good)
		write_item(e->state_dir, VSS_LAST_RESULT, result);
	pthread_mutex_lock(&e->lock);
	e->writing = false;
	if (error && !err)
		e->written = why[0];
	pthread_cond_broadcast(&e->changed);
}

static void *writer(void *arg)
{
	struct vss_last_error *e = arg;

	pthread_mutex_lock(&e->lock);
	while (!e->end) {
		if ((e->wanted || e->result_wanted) && !e->hold)
			write_once(e);
		else
			pthread_cond_wait(&e->changed, &e->lock);
	}
	if (e->wanted || e->result_wanted)
		write_once(e);
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

struct vss_last_error *vss_last_error_new(const char *state_dir)
{
	struct vss_last_error *e = calloc(1, sizeof(*e));
	sigset_t all, old;
	int err;

	if (!e)
		return NULL;
	e->state_dir = state_dir;
	e->written = true;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&e->thread, NULL, writer, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		return e;
	free(e);
	return NULL;
}

/* Until nothing is written, or patience ends. */
static void wait_idle(struct vss_last_error *e)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	while (e->writing)
		if (pthread_cond_timedwait(&e->changed, &e->lock, &until))
			return;
}

void vss_last_error_free(struct vss_last_error *e)
{
	bool stuck;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->end = true;
	e->hold = false;
	pthread_cond_broadcast(&e->changed);
	wait_idle(e);
	stuck = e->writing;
	pthread_mutex_unlock(&e->lock);
	if (stuck)
		return;		/* it keeps what it uses; the process ends */
	pthread_join(e->thread, NULL);
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void vss_last_error_set(struct vss_last_error *e, const char *why)
{
	pthread_mutex_lock(&e->lock);
	snprintf(e->why, sizeof(e->why), "%s", why ? why : "");
	e->wanted = why || e->written;
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
}

void vss_last_error_result(struct vss_last_error *e, const char *result,
			   const char *started)
{
	pthread_mutex_lock(&e->lock);
	snprintf(e->result, sizeof(e->result), "%.16s %.30s", result, started);
	e->result_wanted = true;
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
}

void vss_last_error_hold(struct vss_last_error *e, bool hold)
{
	pthread_mutex_lock(&e->lock);
	e->hold = hold;
	if (hold)
		wait_idle(e);
	else
		pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
}
