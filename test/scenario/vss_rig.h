/* test/scenario/vss_rig.h - the whole VSS path in one process: the simulated
 * host's IC, a real ring, the driver, and clients that the test plays. Time is
 * the test's to move.
 *
 * What anybody is told is written into a trace, one word a message, in order:
 *   a:check a:freeze a:thaw a:abort    to the application named a
 *   fs:check ...                       to the file-system daemon
 *   check=ok freeze=fail ...           to the host, its answer
 */
#ifndef TEST_SCENARIO_VSS_RIG_H
#define TEST_SCENARIO_VSS_RIG_H

#include "line.h"
#include "vss/vss.h"

struct vss_rig;

struct client {
	struct vss_rig *rig;
	struct client *next;
	char name[16];
	struct vss_app *app;		/* NULL: the daemon, or not open */
	bool open, deaf;
	bool dead;			/* and the driver does not know */
	enum vss_form form;
	unsigned got;			/* messages */
	struct hv_vss_record asked;	/* the last */
	unsigned op;			/* Linux form: the last operation */
	unsigned freezes, ends;		/* how often it was told */
};

struct vss_rig {
	struct loop *loop;
	struct line line;
	struct vss *vss;
	struct client fs, *apps;
	char trace[8192];
	/* how the host's last request ended */
	unsigned asked, answers, failures;	/* failures: cancelled, timed out */
	int err;
	uint32_t status;
	uint8_t body[VSS_MSG_MAX];
	size_t body_len;
	/* what the observer was told */
	unsigned events, ended;
	struct vss_event last, last_ended;
	char events_trace[8192], ended_why[128];
};

/* As installed: 5+10 s, 60+60 s, window 60 s, 10+10 s. */
extern const struct vss_cfg vss_rig_cfg;

/* NULL cfg: vss_rig_cfg. The channel is open, nothing has run yet. */
struct vss_rig *vss_rig_new(const struct vss_cfg *cfg);
/* With a host that offers these versions of ours. */
struct vss_rig *vss_rig_new_host(const struct vss_cfg *cfg,
				 const struct host_versions *versions);
void vss_rig_free(struct vss_rig *g);
void rig_settle(struct vss_rig *g);
void rig_advance(struct vss_rig *g, uint64_t ms);

/* The host asks: a body as it would send it. A fault may be given. */
void host_asks(struct vss_rig *g, unsigned op);
void host_asks_at_once(struct vss_rig *g, unsigned op);	/* not waiting */
void host_sends(struct vss_rig *g, const void *body, size_t len,
		const struct host_fault *f);
void host_renegotiates(struct vss_rig *g);

/* Clients. An application with HELLO understands ABORT. */
void fs_opens(struct vss_rig *g, enum vss_form form);	/* and registers */
void fs_dies(struct vss_rig *g);
struct client *app_opens(struct vss_rig *g, const char *name, bool hello);
void app_dies(struct client *c);
struct client *app_of(struct vss_rig *g, const char *name);

/* A record from it; what the driver returned. */
int client_sends(struct client *c, const struct hv_vss_record *r);
/* Answer what it was asked last. why may be NULL. */
int answers(struct client *c, int status, const char *why);
int says_yes(struct client *c);
int says_no(struct client *c, const char *why);

/* What was written since the last call is exactly this. */
void expect(struct vss_rig *g, const char *trace);
void expect_events(struct vss_rig *g, const char *trace);
void expect_state(struct vss_rig *g, enum vss_state s);

#endif
