/* prog/hv_vss_hooks.c - runs the administrator's programs before and after a
 * freeze, as an application of the driver's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/hookrun.h"
#include "base/log.h"
#include "vss_agent.h"

enum { GRACE_MS = 2000 };

struct program {
	bool list;
	const char *dir, *qemu_dir, *vmware_dir;
	char qemu_default[CONF_PATH_MAX], vmware_default[CONF_PATH_MAX];
	char state_path[CONF_PATH_MAX];
	struct hookrun_cfg cfg;
	struct hookrun *run;
};

static const char *choose(const char *option, const char *setting)
{
	return option ? option : setting;
}

/* Subdirectories of the native one, unless something else is said. */
static const char *foreign_dir(const char *option, const char *setting,
			       char dflt[CONF_PATH_MAX], const char *dir,
			       const char *name)
{
	if (option || *setting)
		return choose(option, setting);
	return conf_path(dflt, dir, name) < 0 ? NULL : dflt;
}

/* --list ------------------------------------------------------------------ */

static int list(const struct program *p)
{
	struct hooks hs = { 0 };
	int r = 0;

	for (int k = 0; k < HOOK_N_KINDS && r == 0; k++) {
		unsigned left_out = 0;
		const char *dir = p->cfg.dir[k];

		if (dir && *dir)
			r = hooks_find(&hs, dir, (enum hook_kind)k,
				       p->cfg.owner, &left_out);
		if (r < 0)
			log_err("%s: %s", dir, strerror(-r));
		if (left_out)
			log_info("%s: %u files are not executable and left "
				 "out", dir, left_out);
	}
	for (size_t i = 0; i < hs.n; i++) {
		printf("%-13s  %s%s%s\n", hook_kind_name(hs.h[i].kind),
		       hs.h[i].path, hs.h[i].refused[0] ? ": not safe to run: "
		       : "", hs.h[i].refused);
		r = hs.h[i].refused[0] ? -EPERM : r;
	}
	hooks_free(&hs);
	return r < 0 ? 1 : -1;		/* -1: done, end with 0 */
}

/* The frame's calls -------------------------------------------------------- */

static int configure(struct vss_agent *a)
{
	struct program *p = a->own;
	const struct conf *c = &a->conf;
	const char *dir = choose(p->dir, c->vss_hooks_dir);

	p->cfg = (struct hookrun_cfg){
		.dir = {
			[HOOK_NATIVE] = dir,
			[HOOK_QEMU_GA] = foreign_dir(p->qemu_dir,
				c->vss_hooks_qemu_ga_dir, p->qemu_default, dir,
				"qemu-ga.d"),
			[HOOK_OPEN_VM_TOOLS] = foreign_dir(p->vmware_dir,
				c->vss_hooks_open_vm_tools_dir,
				p->vmware_default, dir, "open-vm-tools.d"),
		},
		.state_path = p->state_path,
		.timeout_ms = c->vss_hooks_timeout_ms,
		.grace_ms = GRACE_MS,
		.owner = geteuid(),
		.unsafe_skipped = c->vss_hooks_unsafe_skipped,
	};
	if (p->list)
		return list(p);
	if (conf_path(p->state_path, c->run_dir, "hv_vss_hooks.frozen") == 0)
		return 0;
	log_err("%s: too long", c->run_dir);
	return 1;
}

static void on_answer(void *arg, const struct hv_vss_record *q, int status,
		      const char *why)
{
	struct vss_agent *a = arg;

	client_answer(a->client, q, status, why);
}

static void on_note(void *arg, const struct hv_vss_record *q,
		    const char *part, int status, uint32_t took_ms)
{
	struct vss_agent *a = arg;

	if (a->client)
		client_note(a->client, q, part, status, took_ms);
}

static bool busy(struct vss_agent *a)
{
	struct program *p = a->own;

	return !hookrun_idle(p->run);
}

/* What a kill left frozen is ended before anything new can be frozen. */
static void recover(struct vss_agent *a)
{
	struct program *p = a->own;
	int n = hookrun_recover(p->run);

	if (n > 0)
		log_warn("%d hooks were left frozen when hv_vss_hooks ended; "
			 "they are told to go on", n);
	else if (n < 0)
		log_err("%s: %s; hooks may be frozen that nobody told the end",
			p->state_path, strerror(-n));
	while (busy(a) && loop_once(a->loop, true) >= 0)
		;
}

static int start(struct vss_agent *a)
{
	static const struct hookrun_ops ops = { on_answer, on_note };
	struct program *p = a->own;

	p->run = hookrun_new(a->loop, &p->cfg, &ops, a);
	if (!p->run) {
		log_err("out of memory");
		return -ENOMEM;
	}
	recover(a);
	return 0;
}

static void asked(struct vss_agent *a, const struct hv_vss_record *q)
{
	struct program *p = a->own;

	hookrun_ask(p->run, q);
}

static void release(struct vss_agent *a)
{
	struct program *p = a->own;

	hookrun_abort(p->run);
}

static void stop(struct vss_agent *a)
{
	struct program *p = a->own;

	hookrun_free(p->run);
}

static json_t *status(struct vss_agent *a)
{
	struct program *p = a->own;

	return json_pack("{s:s, s:I}", "state", hookrun_state(p->run), "held",
			 (json_int_t)hookrun_held(p->run));
}

int main(int argc, char **argv)
{
	static struct program p;
	static const struct option_def options[] = {
		{ 0, "dir", "DIR", "where the hooks are", &p.dir },
		{ 0, "qemu-ga-dir", "DIR", "qemu-guest-agent's hooks",
		  &p.qemu_dir },
		{ 0, "open-vm-tools-dir", "DIR", "open-vm-tools' scripts",
		  &p.vmware_dir },
		{ 0, "list", NULL, "print what would be run, and end",
		  &p.list },
		{ 0 },
	};
	static const struct vss_agent_def def = {
		.program = "hv_vss_hooks",
		.summary = "Run programs before and after a backup's freeze.",
		.options = options,
		.keeps_rights = true,
		.configure = configure,
		.start = start,
		.asked = asked,
		.release = release,
		.busy = busy,
		.stop = stop,
		.status = status,
	};

	return vss_agent_main(&def, &p, argc, argv);
}
