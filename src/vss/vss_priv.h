/* vss/vss_priv.h - what the driver's files share; for nobody else.
 *
 *   vss.c        the table, its steps, the host's requests and their answers
 *   vss_app.c    the applications: asked together, judged together
 *   vss_fs.c     the file-system daemon, in both forms
 *   vss_party.c  what a client is told and answers, whoever it is
 */
#ifndef VSS_PRIV_H
#define VSS_PRIV_H

#include "vss/vss.h"

enum { WHY_SIZE = 128 };

/* A client of a device file, as one who is asked. */
struct party {
	struct vss *vss;
	struct vss_peer peer;
	uint64_t id;			/* 0: the daemon */
	enum vss_form form;
	bool knows_abort;		/* it said HELLO */
	/* The question that an answer is waited for; HV_VSS_NONE: none is. */
	unsigned asked;			/* enum hv_vss_opt, as we mean it */
	unsigned asked_wire;		/* ... and as it was sent */
	uint64_t asked_id, asked_ms;
	uint64_t last_id;		/* of the last question: notes name it */
	unsigned owed;			/* Linux form: answers to old questions */
	bool frozen;			/* was told FREEZE, and not the end */
	unsigned due;			/* the end that could not be sent yet */
};

struct vss_app {
	struct party party;
	struct vss_app *next;
};

/* The host's request. */
enum hand { HAND_EMPTY, HAND_HOLDS, HAND_WAITS };

struct request {
	enum hand hand;			/* WAITS: until what is wound up is */
	bool given_up;			/* it waited, and another one behind */
	uint64_t ticket, msgid, asked_ms;
	struct vss_msg msg;
	uint8_t body[VSS_SMALL_SIZE];
	size_t body_len;
};

/* The check or the backup in hand, from the request that begins it until IDLE
 * or BROKEN. */
struct work {
	bool active, check, failed, let_pass;
	unsigned n_held;		/* applications that hold, or held */
	uint64_t msgid;
	char why[WHY_SIZE];		/* the first cause */
};

struct vss {
	struct loop *loop;
	struct vss_cfg cfg;
	void (*observe)(void *arg, const struct vss_event *e);
	void *observe_arg;
	struct ic *ic;
	enum vss_state state;
	struct loop_timer timer;	/* the state's */
	struct loop_timer retry;	/* while somebody's end is due */
	struct request request;
	struct work work;
	uint64_t last_msgid, msgid;	/* msgid: of the round in hand */
	/* applications */
	struct vss_app *apps;
	unsigned n_apps;
	uint64_t last_party;
	bool app_no;			/* one said no in this round */
	/* the daemon */
	struct party fs;
	bool fs_open, fs_registered;
	uint64_t freeze_id, freeze_ms;	/* of the last FREEZE it was told */
	uint64_t frozen_until_ms;	/* it may be frozen till then; 0: no */
	struct vss_stats stats;
};

/* vss.c */
void vss_step(struct vss *v, enum vss_event_kind ev);
/* The same for an event that is the cause of a failure, unless it means
 * nothing in this state. who may be NULL. */
void vss_step_fail(struct vss *v, enum vss_event_kind ev, const char *who,
		   const char *why);
uint64_t vss_next_msgid(struct vss *v);
/* Fill in what every event has, and tell the observer. */
void vss_tell(struct vss *v, struct vss_event e);
/* What is in hand fails, or is less than it could be. The first cause is kept;
 * who may be NULL. */
void vss_fail(struct vss *v, const char *who, const char *why);
void vss_let_pass(struct vss *v, const char *who, const char *why);

/* vss_party.c */
void party_init(struct party *p, struct vss *v, const struct vss_peer *peer,
		uint64_t id, enum vss_form form);
/* CHECK or FREEZE. 0; or -errno: it could not be asked, the observer knows. */
int party_ask(struct party *p, unsigned opt, uint32_t answer_ms);
/* THAW or ABORT: now (0), or as soon as it can be sent to (-errno). */
int party_end(struct party *p, unsigned opt, uint32_t answer_ms);
void party_retry_end(struct party *p);
/* No answer is waited for any longer. */
void party_drop(struct party *p);
/* ... because it is silent, or gone; the observer is told. */
void party_lost(struct party *p, enum vss_outcome outcome);
/* It answered: the observer is told. */
void party_answered(struct party *p, bool yes, const char *why);
/* 1: the answer to what was asked, *yes and its reason; 0: something else of
 * use; -ESTALE: of no use. */
int party_message(struct party *p, const struct hv_vss_record *r, bool *yes,
		  char why[48]);

/* vss_app.c */
void vss_apps_ask(struct vss *v, unsigned opt, uint32_t answer_ms);
void vss_apps_end(struct vss *v, unsigned opt, uint32_t answer_ms);
void vss_apps_late(struct vss *v);
void vss_apps_drop(struct vss *v);
void vss_apps_free(struct vss *v);

/* vss_fs.c */
void vss_fs_ask(struct vss *v, unsigned opt, uint32_t answer_ms);
void vss_fs_late(struct vss *v);

#endif
