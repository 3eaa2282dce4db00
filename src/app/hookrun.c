/* app/hookrun.c - one hook at a time.
 *
 * `next` is the hook that comes next in CHECKING and FREEZING; `begun` counts
 * those whose freeze was started, and ENDING counts it down. A new question
 * takes the place of the one in hand, which then has no answer: the driver
 * asks only when it has stopped waiting.
 *
 * A question that finds an end under way waits for it: until then something
 * may still be held. */
#include "app/hookrun.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/proc.h"
#include "base/log.h"
#include "vss/vss_devmsg.h"

#define HOOK_PATH \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { LINES_MAX = 1000, LINE_CAP = 512 };

enum state { IDLE, CHECKING, FREEZING, HELD, ENDING };

static const char *const state_names[] = {
	[IDLE] = "idle", [CHECKING] = "checking", [FREEZING] = "freezing",
	[HELD] = "held", [ENDING] = "ending",
};

struct line {
	struct line *next;
	enum log_level level;
	char text[LINE_CAP];
};

struct hookrun {
	struct loop *loop;
	struct hookrun_cfg cfg;
	struct hookrun_ops ops;
	void *arg;
	enum state state;
	struct hooks hooks;
	size_t next, begun;
	enum hook_phase ending;		/* HOOK_THAW or HOOK_FAIL */
	bool over;			/* the end came while a hook ran */
	struct hv_vss_record q;		/* to be answered; opt 0: none is */
	struct hv_vss_record noted;	/* the last one, answered or not */
	uint64_t deadline_ms;		/* of q; 0: none */
	struct proc *proc;		/* the one that runs */
	struct proc **done;		/* whose output is still read */
	size_t n_done;
	struct line *lines, **last;
	unsigned n_lines;
};

static void step(struct hookrun *h);

/* What is said later ------------------------------------------------------ */

/* A directory of hooks that others can write to has names of their choice. */
__attribute__((format(printf, 3, 4)))
static void say(struct hookrun *h, enum log_level level, const char *fmt, ...)
{
	struct line *l = h->n_lines < LINES_MAX ? calloc(1, sizeof(*l)) : NULL;
	char text[LINE_CAP];
	va_list ap;

	if (!l)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	vss_text_get(l->text, text, sizeof(text));
	l->level = level;
	*h->last = l;
	h->last = &l->next;
	h->n_lines++;
}

static void say_all(struct hookrun *h)
{
	while (h->lines) {
		struct line *l = h->lines;

		h->lines = l->next;
		log_line(l->level, "%s", l->text);
		free(l);
	}
	h->last = &h->lines;
	h->n_lines = 0;
}

static void forget_procs(struct hookrun *h)
{
	for (size_t i = 0; i < h->n_done; i++)
		proc_free(h->done[i]);
	free(h->done);
	h->done = NULL;
	h->n_done = 0;
}

/* Who is frozen ----------------------------------------------------------- */

static int write_down(struct hookrun *h, const struct hook *hook)
{
	int fd = open(h->cfg.state_path, O_WRONLY | O_CREAT | O_APPEND |
		      O_CLOEXEC | O_NOFOLLOW, 0600);
	char line[4200];
	int n, r = 0;

	if (fd < 0)
		return -errno;
	n = snprintf(line, sizeof(line), "%s %s\n", hook_kind_name(hook->kind),
		     hook->path);
	if (n >= (int)sizeof(line))
		r = -ENAMETOOLONG;
	else if (write(fd, line, (size_t)n) != n)
		r = errno ? -errno : -EIO;
	close(fd);
	return r;
}

static void strike_out(struct hookrun *h)
{
	if (unlink(h->cfg.state_path) < 0 && errno != ENOENT)
		say(h, LOG_LEVEL_WARN, "%s: %s", h->cfg.state_path,
		    strerror(errno));
}

/* The end of a question --------------------------------------------------- */

static void answer(struct hookrun *h, int status, const char *why)
{
	struct hv_vss_record q = h->q;

	h->q.opt = HV_VSS_NONE;
	h->deadline_ms = 0;
	if (q.opt != HV_VSS_NONE)
		h->ops.answer(h->arg, &q, status, why);
}

static void become_idle(struct hookrun *h)
{
	h->state = IDLE;
	hooks_free(&h->hooks);
	h->next = h->begun = 0;
	forget_procs(h);
	say_all(h);
}

static void begin_end(struct hookrun *h, enum hook_phase phase)
{
	h->state = ENDING;
	h->ending = phase;
	h->over = false;
	step(h);
}

__attribute__((format(printf, 2, 3)))
static void refuse(struct hookrun *h, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	say(h, LOG_LEVEL_ERR, "%s refused: %s",
	    h->state == CHECKING ? "check" : "freeze", why);
	answer(h, HV_VSS_FAIL, why);
	begin_end(h, HOOK_FAIL);
}

/* One hook ---------------------------------------------------------------- */

static void keep(struct hookrun *h, struct proc *p)
{
	struct proc **more = realloc(h->done, (h->n_done + 1) *
				     sizeof(*more));

	if (!more) {
		proc_free(p);
		return;
	}
	h->done = more;
	h->done[h->n_done++] = p;
}

static enum hook_phase phase_of(const struct hookrun *h)
{
	return h->state == CHECKING ? HOOK_CHECK :
	       h->state == FREEZING ? HOOK_FREEZE : h->ending;
}

static const struct hook *current(const struct hookrun *h)
{
	return &h->hooks.h[h->state == ENDING ? h->begun : h->next - 1];
}

/* Line by line, so that a hook cannot forge our log. */
static void say_output(struct hookrun *h, const struct hook *hook,
		       const struct proc *p)
{
	char quoted[400];
	bool cut;
	const char *text = proc_output(p, &cut);

	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n)
			say(h, LOG_LEVEL_INFO, "hook %s: %s", hook->name,
			    log_quote(quoted, sizeof(quoted), text, n));
		text += n + (text[n] == '\n');
	}
	if (cut)
		say(h, LOG_LEVEL_INFO, "hook %s: ... and more", hook->name);
}

static void note(struct hookrun *h, const struct hook *hook, bool ok,
		 uint64_t took_ms)
{
	static const unsigned opts[] = {
		[HOOK_CHECK] = HV_VSS_CHECK, [HOOK_FREEZE] = HV_VSS_FREEZE,
		[HOOK_THAW] = HV_VSS_THAW, [HOOK_FAIL] = HV_VSS_ABORT,
	};
	struct hv_vss_record about = h->noted;

	about.opt = opts[phase_of(h)];
	h->ops.note(h->arg, &about, hook->name, ok ? HV_VSS_OK : HV_VSS_FAIL,
		    took_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)took_ms);
}

static void on_ended(void *arg, struct proc *p)
{
	struct hookrun *h = arg;
	const struct hook *hook = current(h);
	char how[32];
	bool ok = proc_ok(p);

	note(h, hook, ok, proc_took_ms(p));
	say(h, ok ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERR, "hook %s, %s: %s, %llu ms",
	    hook->path, hook_argument(hook->kind, phase_of(h)),
	    ok ? "ok" : proc_how(p, how), (unsigned long long)proc_took_ms(p));
	say_output(h, hook, p);
	h->proc = NULL;
	keep(h, p);
	if (h->over)
		begin_end(h, HOOK_FAIL);
	else if (ok || h->state == ENDING)
		step(h);
	else
		refuse(h, "hook %s: %s", hook->name, proc_how(p, how));
}

/* How long it may take, so that there is time left to end it and say so. */
static unsigned time_for(const struct hookrun *h, unsigned *grace_ms)
{
	uint64_t now = loop_now_ms(h->loop), left;

	*grace_ms = h->cfg.grace_ms;
	if (!h->deadline_ms || h->state == ENDING)
		return h->cfg.timeout_ms;
	left = h->deadline_ms > now ? h->deadline_ms - now : 0;
	if (*grace_ms > left / 4)
		*grace_ms = (unsigned)(left / 4);
	left = left - *grace_ms - left / 8;
	return left < h->cfg.timeout_ms ? (unsigned)left : h->cfg.timeout_ms;
}

static int run(struct hookrun *h, const struct hook *hook)
{
	static const char *const env[] = {
		HOOK_PATH, "HOME=/", "LANG=C", "LC_ALL=C", "SHELL=/bin/sh",
		NULL,
	};
	const char *argv[] = {
		hook->path, hook_argument(hook->kind, phase_of(h)), NULL,
	};
	struct proc_cfg cfg = { .argv = argv, .env = env };

	cfg.timeout_ms = time_for(h, &cfg.grace_ms);
	if (!cfg.timeout_ms)
		return -ETIMEDOUT;
	h->proc = proc_start(h->loop, &cfg, on_ended, h);
	return h->proc ? 0 : -errno;
}

/* The next step ----------------------------------------------------------- */

/* The next hook that is called in this phase, or NULL. */
static const struct hook *take_next(struct hookrun *h)
{
	while (h->next < h->hooks.n) {
		const struct hook *hook = &h->hooks.h[h->next++];

		if (!hook->refused[0] &&
		    hook_argument(hook->kind, phase_of(h)))
			return hook;
	}
	return NULL;
}

/* CHECKING, FREEZING */
static void step_on(struct hookrun *h)
{
	const struct hook *hook = take_next(h);
	int r;

	if (!hook && h->state == FREEZING) {
		h->state = HELD;
		answer(h, HV_VSS_OK, NULL);
		return;
	}
	if (!hook) {
		answer(h, HV_VSS_OK, NULL);
		become_idle(h);
		return;
	}
	r = 0;
	if (h->state == FREEZING) {
		r = write_down(h, hook);
		/* Those that are begun are the first ones of the list. */
		if (r == 0)
			h->begun = h->next;
	}
	if (r == 0)
		r = run(h, hook);
	if (r < 0)
		refuse(h, "hook %s: %s", hook->name, strerror(-r));
}

static bool frozen(const struct hook *hook)
{
	return !hook->refused[0] && hook_argument(hook->kind, HOOK_FREEZE);
}

static void step_back(struct hookrun *h)
{
	while (h->begun > 0) {
		const struct hook *hook = &h->hooks.h[--h->begun];
		int r;

		if (!frozen(hook))
			continue;
		r = run(h, hook);
		if (r == 0)
			return;
		note(h, hook, false, 0);
		say(h, LOG_LEVEL_ERR, "hook %s was not told the end: %s",
		    hook->path, strerror(-r));
	}
	strike_out(h);
	answer(h, HV_VSS_OK, NULL);
	become_idle(h);
}

static void step(struct hookrun *h)
{
	if (h->state == ENDING)
		step_back(h);
	else
		step_on(h);
}

/* Questions --------------------------------------------------------------- */

static int find(struct hookrun *h)
{
	for (int k = 0; k < HOOK_N_KINDS; k++) {
		const char *dir = h->cfg.dir[k];
		unsigned left_out = 0;
		int r = 0;

		if (dir && *dir)
			r = hooks_find(&h->hooks, dir, (enum hook_kind)k,
				       h->cfg.owner, &left_out);
		if (r < 0) {
			refuse(h, "%s: %s", dir, strerror(-r));
			return r;
		}
		if (left_out)
			say(h, LOG_LEVEL_DEBUG, "%s: %u files are not "
			    "executable and left out", dir, left_out);
	}
	return 0;
}

/* A hook that may not be run was meant to run: without it the backup would
 * not be what the administrator wanted. */
static int judge(struct hookrun *h)
{
	for (size_t i = 0; i < h->hooks.n; i++) {
		const struct hook *hook = &h->hooks.h[i];

		if (!hook->refused[0])
			continue;
		say(h, LOG_LEVEL_ERR, "hook %s is not safe to run: %s",
		    hook->path, hook->refused);
		if (h->cfg.unsafe_skipped)
			continue;
		refuse(h, "hook %s is not safe to run", hook->name);
		return -EPERM;
	}
	return 0;
}

static void begin(struct hookrun *h, enum state state)
{
	uint32_t answer_ms, frozen_ms;

	if (h->state != IDLE) {
		answer(h, HV_VSS_FAIL, "hooks are still busy");
		return;
	}
	vss_record_budget(&h->q, &answer_ms, &frozen_ms);
	if (answer_ms)
		h->deadline_ms = loop_now_ms(h->loop) + answer_ms;
	h->state = state;
	if (find(h) == 0 && judge(h) == 0)
		step(h);
}

static void end(struct hookrun *h, enum hook_phase phase)
{
	if (h->state == IDLE) {
		answer(h, HV_VSS_OK, NULL);
		return;
	}
	if (h->state == ENDING)
		return;			/* answered when it is over */
	if (h->proc) {
		h->over = true;		/* on_ended() goes on from here */
		proc_stop(h->proc);
		return;
	}
	begin_end(h, phase);
}

void hookrun_ask(struct hookrun *h, const struct hv_vss_record *q)
{
	h->q = h->noted = *q;
	switch (q->opt) {
	case HV_VSS_CHECK:
		begin(h, CHECKING);
		break;
	case HV_VSS_FREEZE:
		begin(h, FREEZING);
		break;
	case HV_VSS_THAW:
		end(h, HOOK_THAW);
		break;
	case HV_VSS_ABORT:
		end(h, HOOK_FAIL);
		break;
	default:
		answer(h, HV_VSS_FAIL, "unknown question");
	}
}

void hookrun_abort(struct hookrun *h)
{
	h->q.opt = HV_VSS_NONE;
	end(h, HOOK_FAIL);
}

/* After a kill ------------------------------------------------------------ */

static FILE *open_state(const struct hookrun *h, int *err)
{
	int fd = open(h->cfg.state_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	*err = 0;
	if (fd < 0) {
		*err = errno == ENOENT ? 0 : -errno;
		return NULL;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid() && !(st.st_mode & 022))
		return fdopen(fd, "r");
	close(fd);
	*err = -EPERM;
	return NULL;
}

static int take_line(struct hookrun *h, char *line)
{
	char *path = strchr(line, ' ');
	int kind;

	line[strcspn(line, "\n")] = '\0';
	if (!path)
		return 0;
	*path++ = '\0';
	kind = hook_kind_parse(line);
	if (kind < 0)
		return 0;
	return hooks_add(&h->hooks, path, (enum hook_kind)kind, h->cfg.owner);
}

int hookrun_recover(struct hookrun *h)
{
	char line[4200];
	int r, n;
	FILE *f = open_state(h, &r);

	if (!f)
		return r;
	while (r == 0 && fgets(line, sizeof(line), f))
		r = take_line(h, line);
	fclose(f);
	n = (int)h->hooks.n;
	for (int i = 0; i < n; i++)
		if (h->hooks.h[i].refused[0])
			say(h, LOG_LEVEL_ERR, "hook %s was left frozen and is "
			    "not safe to run: %s", h->hooks.h[i].path,
			    h->hooks.h[i].refused);
	h->begun = h->hooks.n;
	begin_end(h, HOOK_FAIL);
	return r < 0 ? r : n;
}

/* For the owner ----------------------------------------------------------- */

struct hookrun *hookrun_new(struct loop *l, const struct hookrun_cfg *cfg,
			    const struct hookrun_ops *ops, void *arg)
{
	struct hookrun *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->loop = l;
	h->cfg = *cfg;
	h->ops = *ops;
	h->arg = arg;
	h->last = &h->lines;
	return h;
}

void hookrun_free(struct hookrun *h)
{
	if (!h)
		return;
	proc_free(h->proc);
	forget_procs(h);
	hooks_free(&h->hooks);
	say_all(h);
	free(h);
}

bool hookrun_idle(const struct hookrun *h)
{
	return h->state == IDLE;
}

const char *hookrun_state(const struct hookrun *h)
{
	return state_names[h->state];
}

size_t hookrun_held(const struct hookrun *h)
{
	return h->begun;
}
