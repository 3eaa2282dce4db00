/* prog/hv_vss_pg.c - PostgreSQL's part in a backup.
 *
 * PostgreSQL has no lock that holds all writers, and needs none: a snapshot of
 * its whole data directory is a crash, from which it recovers by its
 * write-ahead log. What it can do beforehand is a checkpoint, so that little of
 * the log is to be replayed, and that all which was acknowledged, also without
 * waiting for the disk (synchronous_commit off), is in the files. So FREEZE is
 * two checkpoints: the first one may take long while writers go on, the second
 * one is short and leaves next to nothing. Writers then stop where the file
 * system does.
 *
 * With --backup-mode a backup is started and stopped around the freeze as
 * well: full pages are then logged whatever the settings say, and the label
 * goes to the log. For snapshots that are not of one instant. */
#include <errno.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "vss_db.h"

struct program {
	const char *conninfo;
	bool backup_mode;
	PGconn *conn;
	bool connecting;
	char value[512];		/* the last statement's first field */
	char error[256];
};

/* The protocol ------------------------------------------------------------ */

static void no_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;			/* no log while we may be frozen */
}

static int take_error(struct program *p)
{
	const char *text = p->conn ? PQerrorMessage(p->conn) : "out of memory";

	/* "ERROR:  permission denied": the first word says nothing */
	if (!strncmp(text, "ERROR:  ", 8))
		text += 8;
	snprintf(p->error, sizeof(p->error), "%s", *text ? text :
		 "the server ended the session");
	return -EIO;
}

static int pg_connect(void *be)
{
	struct program *p = be;
	const char *const keys[] = { "dbname", "fallback_application_name",
				     NULL };
	const char *const values[] = { p->conninfo, "hv_vss_pg", NULL };

	p->conn = PQconnectStartParams(keys, values, 1);
	p->connecting = true;
	if (!p->conn || PQstatus(p->conn) == CONNECTION_BAD)
		return take_error(p);
	PQsetNoticeProcessor(p->conn, no_notice, NULL);
	return 0;
}

static int pg_send(void *be, const char *sql)
{
	struct program *p = be;

	p->value[0] = '\0';
	p->error[0] = '\0';
	return PQsendQuery(p->conn, sql) ? 0 : take_error(p);
}

static int go_on_connecting(struct program *p, unsigned *want)
{
	switch (PQconnectPoll(p->conn)) {
	case PGRES_POLLING_OK:
		p->connecting = false;
		return PQsetnonblocking(p->conn, 1) < 0 ? take_error(p) : 1;
	case PGRES_POLLING_READING:
		*want = LOOP_READ;
		return 0;
	case PGRES_POLLING_WRITING:
		*want = LOOP_WRITE;
		return 0;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		break;
	}
	return take_error(p);
}

static void take_result(struct program *p, PGresult *r)
{
	switch (PQresultStatus(r)) {
	case PGRES_TUPLES_OK:
		if (PQntuples(r) > 0)
			snprintf(p->value, sizeof(p->value), "%s",
				 PQgetvalue(r, 0, 0));
		break;
	case PGRES_COMMAND_OK:
		break;
	default:
		take_error(p);
	}
	PQclear(r);
}

static int pg_go_on(void *be, unsigned ready, unsigned *want)
{
	struct program *p = be;
	PGresult *r;
	int unsent;

	(void)ready;
	if (p->connecting)
		return go_on_connecting(p, want);
	unsent = PQflush(p->conn);
	if (unsent < 0 || !PQconsumeInput(p->conn))
		return take_error(p);
	*want = LOOP_READ | (unsent ? LOOP_WRITE : 0);
	while (!PQisBusy(p->conn)) {
		r = PQgetResult(p->conn);
		if (!r)
			return p->error[0] ? -EIO : 1;
		take_result(p, r);
	}
	return 0;
}

static int pg_fd(void *be)
{
	struct program *p = be;

	return PQsocket(p->conn);
}

static const char *pg_error(void *be)
{
	struct program *p = be;

	return p->error;
}

static void cancel_aside(void *arg)
{
	char err[256];

	PQcancel(arg, err, sizeof(err));
}

/* PQcancel() waits for the server. */
static void pg_cancel(void *be)
{
	struct program *p = be;
	PGcancel *c = PQgetCancel(p->conn);

	if (c)
		vss_agent_aside(cancel_aside, c);
	PQfreeCancel(c);
}

static void pg_close(void *be)
{
	struct program *p = be;

	PQfinish(p->conn);
	p->conn = NULL;
}

/* What to do -------------------------------------------------------------- */

__attribute__((format(printf, 3, 4)))
static void add(struct vss_db_step *step, const char *name, const char *fmt,
		...)
{
	va_list ap;

	step->name = name;
	va_start(ap, fmt);
	vsnprintf(step->sql, sizeof(step->sql), fmt, ap);
	va_end(ap);
}

static size_t check_steps(int version, struct vss_db_step *step)
{
	const char *may = version >= 150000 ?
		"pg_has_role(current_user, 'pg_checkpoint', 'USAGE')" :
		"(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)";

	add(step, "role", "SELECT CASE WHEN NOT %s THEN 'denied' "
	    "WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END", may);
	return 1;
}

static size_t pg_steps(void *be, unsigned opt, unsigned ms,
		       struct vss_db_step step[VSS_DB_STEPS])
{
	struct program *p = be;
	int version = PQserverVersion(p->conn);
	size_t n = 0;

	if (opt == HV_VSS_CHECK)
		return check_steps(version, step);
	add(&step[n++], "time limit", "SET statement_timeout = %u", ms);
	if (opt == HV_VSS_FREEZE) {
		if (version >= 140000)
			add(&step[n++], "stay", "SET idle_session_timeout = 0");
		add(&step[n++], "checkpoint", "CHECKPOINT");
		add(&step[n++], "second checkpoint", "CHECKPOINT");
		if (p->backup_mode)
			add(&step[n++], "backup start", version >= 150000 ?
			    "SELECT pg_backup_start('hyperv', true)" :
			    "SELECT pg_start_backup('hyperv', true, false)");
	} else if (p->backup_mode) {
		add(&step[n++], "backup stop", version >= 150000 ?
		    "SELECT labelfile FROM pg_backup_stop(false)" :
		    "SELECT labelfile FROM pg_stop_backup(false, false)");
	}
	return n;
}

static int pg_judge(void *be, unsigned opt, char why[128])
{
	struct program *p = be;
	char quoted[sizeof(p->value) + 64];

	if (opt == HV_VSS_CHECK && !strcmp(p->value, "denied")) {
		snprintf(why, 128, "role %s may not CHECKPOINT",
			 PQuser(p->conn));
		return -EPERM;
	}
	if (opt == HV_VSS_THAW && p->backup_mode)
		log_info("backup label %s", log_quote(quoted, sizeof(quoted),
			 p->value, strlen(p->value)));
	return 0;
}

static const struct vss_db_backend backend = {
	.server = "PostgreSQL", .connect = pg_connect, .send = pg_send,
	.go_on = pg_go_on, .fd = pg_fd, .error = pg_error,
	.cancel = pg_cancel, .close = pg_close, .steps = pg_steps,
	.judge = pg_judge,
};

/* The frame's calls -------------------------------------------------------- */

/* Everybody may read a command line. */
static int configure(struct vss_agent *a)
{
	struct program *p = a->own;
	PQconninfoOption *all;
	char *err = NULL;
	int r = 0;

	if (!p->conninfo)
		p->conninfo = "dbname=postgres";
	all = PQconninfoParse(p->conninfo, &err);
	if (!all)
		log_err("--conninfo: %s", err ? err : "out of memory");
	for (PQconninfoOption *o = all; o && o->keyword; o++)
		if (o->val && strstr(o->keyword, "password") &&
		    strcmp(o->keyword, "passfile")) {
			log_err("--conninfo: no password here, everybody can "
				"read it; use a service or password file");
			r = EX_USAGE;
		}
	r = all ? r : EX_USAGE;
	PQconninfoFree(all);
	PQfreemem(err);
	return r;
}

static int start(struct vss_agent *a)
{
	return vss_db_start(a, &backend, a->own);
}

int main(int argc, char **argv)
{
	static struct program p;
	static const struct option_def options[] = {
		{ 0, "conninfo", "STRING", "how to connect, as libpq has it",
		  &p.conninfo },
		{ 0, "backup-mode", NULL, "start and stop a backup as well",
		  &p.backup_mode },
		{ 0 },
	};
	static const struct vss_agent_def def = {
		.program = "hv_vss_pg",
		.summary = "Have PostgreSQL take part in backups.",
		.options = options,
		.configure = configure,
		.start = start,
		.asked = vss_db_asked,
		.release = vss_db_release,
		.busy = vss_db_busy,
		.stop = vss_db_stop,
		.status = vss_db_status,
	};

	return vss_agent_main(&def, &p, argc, argv);
}
