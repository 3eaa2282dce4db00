/* prog/hv_vss_mariadb.c - MariaDB's part in a backup.
 *
 * From 10.4 on the server has backup stages: START, FLUSH and BLOCK_DDL let
 * writers go on, BLOCK_COMMIT holds every commit, and then the engines' logs
 * are flushed. An older one, or a MySQL, gets FLUSH TABLES WITH READ LOCK. Both
 * belong to the session, and end with it. */
#include <errno.h>
#include <mysql.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "base/log.h"
#include "vss_db.h"

enum doing { CONNECT, QUERY, STORE };

struct program {
	const char *defaults_file, *socket, *user;
	MYSQL *my;
	bool open;			/* connected once */
	enum doing doing;
	int waiting;			/* MYSQL_WAIT_...; 0: done */
	MYSQL *connected;		/* what the calls return */
	int failed;
	MYSQL_RES *result;
	char error[256];
};

/* The protocol ------------------------------------------------------------ */

static MYSQL *new_handle(const struct program *p)
{
	MYSQL *my = mysql_init(NULL);

	if (!my)
		return NULL;
	if (p->defaults_file)
		mysql_optionsv(my, MYSQL_READ_DEFAULT_FILE, p->defaults_file);
	mysql_optionsv(my, MYSQL_READ_DEFAULT_GROUP, "hv_vss_mariadb");
	return my;
}

static int take_error(struct program *p)
{
	const char *text = p->my ? mysql_error(p->my) : "out of memory";

	snprintf(p->error, sizeof(p->error), "%s", *text ? text :
		 "the server ended the session");
	return -EIO;
}

static int my_connect(void *be)
{
	struct program *p = be;

	p->my = new_handle(p);
	if (!p->my)
		return take_error(p);
	mysql_optionsv(p->my, MYSQL_OPT_NONBLOCK, NULL);
	p->open = false;
	p->doing = CONNECT;
	p->waiting = mysql_real_connect_start(&p->connected, p->my, NULL,
		p->user, NULL, NULL, 0, p->socket, 0);
	return 0;
}

static int my_send(void *be, const char *sql)
{
	struct program *p = be;

	p->doing = QUERY;
	p->waiting = mysql_real_query_start(&p->failed, p->my, sql,
					    strlen(sql));
	return 0;
}

static void go_on_waiting(struct program *p, int ready)
{
	switch (p->doing) {
	case CONNECT:
		p->waiting = mysql_real_connect_cont(&p->connected, p->my,
						     ready);
		break;
	case QUERY:
		p->waiting = mysql_real_query_cont(&p->failed, p->my, ready);
		break;
	case STORE:
		p->waiting = mysql_store_result_cont(&p->result, p->my, ready);
		break;
	}
}

/* What was begun has ended: how, and is there more to it? */
static int ended(struct program *p)
{
	switch (p->doing) {
	case CONNECT:
		p->open = p->connected != NULL;
		return p->open ? 1 : take_error(p);
	case QUERY:
		if (p->failed)
			return take_error(p);
		p->doing = STORE;
		p->waiting = mysql_store_result_start(&p->result, p->my);
		return 0;
	case STORE:
		if (!p->result && mysql_errno(p->my))
			return take_error(p);
		mysql_free_result(p->result);
		p->result = NULL;
		return 1;
	}
	abort();
}

static int my_go_on(void *be, unsigned ready, unsigned *want)
{
	struct program *p = be;
	int r = 0;

	if (p->waiting && ready)
		go_on_waiting(p,
			      (ready & LOOP_READ ? MYSQL_WAIT_READ : 0) |
			      (ready & LOOP_WRITE ? MYSQL_WAIT_WRITE : 0));
	while (!p->waiting && r == 0)
		r = ended(p);
	*want = (p->waiting & MYSQL_WAIT_READ ? LOOP_READ : 0) |
		(p->waiting & MYSQL_WAIT_WRITE ? LOOP_WRITE : 0);
	return r;
}

static int my_fd(void *be)
{
	struct program *p = be;

	return (int)mysql_get_socket(p->my);
}

static const char *my_error(void *be)
{
	struct program *p = be;

	return p->error;
}

/* In a process of its own: a second session ends the first one's statement.
 * A server that waits for a lock does not see that its client has gone. */
static void kill_aside(void *arg)
{
	struct program *p = arg;
	unsigned long id = mysql_thread_id(p->my);
	MYSQL *my = new_handle(p);
	char sql[64];

	snprintf(sql, sizeof(sql), "KILL CONNECTION %lu", id);
	if (my && mysql_real_connect(my, NULL, p->user, NULL, NULL, 0,
				     p->socket, 0))
		mysql_query(my, sql);
}

static void my_cancel(void *be)
{
	if (((struct program *)be)->open)
		vss_agent_aside(kill_aside, be);
}

/* Without the farewell, which could wait for the server. */
static void my_close(void *be)
{
	struct program *p = be;

	if (!p->my)
		return;
	if (my_fd(p) >= 0)
		shutdown(my_fd(p), SHUT_RDWR);
	mysql_free_result(p->result);
	p->result = NULL;
	mysql_close(p->my);
	p->my = NULL;
	p->open = false;
}

/* What to do -------------------------------------------------------------- */

static void add(struct vss_db_step *step, const char *name, const char *sql)
{
	step->name = name;
	snprintf(step->sql, sizeof(step->sql), "%s", sql);
}

static bool has_stages(MYSQL *my)
{
	return strstr(mysql_get_server_info(my), "MariaDB") &&
	       mysql_get_server_version(my) >= 100400;
}

/* Nobody's lock is waited for longer than the backup can wait. */
static size_t limits(struct vss_db_step *step, unsigned ms)
{
	unsigned s = ms / 1000 ? ms / 1000 : 1;

	step->name = "time limit";
	snprintf(step->sql, sizeof(step->sql), "SET SESSION "
		 "lock_wait_timeout = %u, wait_timeout = 28800", s);
	return 1;
}

static size_t hold_by_stages(struct vss_db_step *step)
{
	add(&step[0], "start", "BACKUP STAGE START");
	add(&step[1], "flush", "BACKUP STAGE FLUSH");
	add(&step[2], "block ddl", "BACKUP STAGE BLOCK_DDL");
	add(&step[3], "block commit", "BACKUP STAGE BLOCK_COMMIT");
	add(&step[4], "flush logs", "FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS");
	return 5;
}

static size_t hold_by_lock(struct vss_db_step *step)
{
	add(&step[0], "flush", "FLUSH NO_WRITE_TO_BINLOG TABLES");
	add(&step[1], "read lock", "FLUSH TABLES WITH READ LOCK");
	add(&step[2], "flush logs", "FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS");
	return 3;
}

/* CHECK tries what needs the privilege and disturbs nobody, and finds out
 * whether another backup is under way. */
static size_t my_steps(void *be, unsigned opt, unsigned ms,
		       struct vss_db_step step[VSS_DB_STEPS])
{
	struct program *p = be;
	bool stages = has_stages(p->my);
	size_t n = limits(step, ms);

	switch (opt) {
	case HV_VSS_CHECK:
		add(&step[n++], "check", stages ? "BACKUP STAGE START" :
		    "SELECT 1");
		if (stages)
			add(&step[n++], "end", "BACKUP STAGE END");
		return n;
	case HV_VSS_FREEZE:
		return n + (stages ? hold_by_stages(&step[n]) :
			    hold_by_lock(&step[n]));
	default:
		add(&step[0], "release", stages ? "BACKUP STAGE END" :
		    "UNLOCK TABLES");
		return 1;
	}
}

static int my_judge(void *be, unsigned opt, char why[128])
{
	(void)be;
	(void)opt;
	(void)why;
	return 0;
}

static const struct vss_db_backend backend = {
	.server = "MariaDB", .connect = my_connect, .send = my_send,
	.go_on = my_go_on, .fd = my_fd, .error = my_error,
	.cancel = my_cancel, .close = my_close, .steps = my_steps,
	.judge = my_judge,
};

/* The frame's calls -------------------------------------------------------- */

static int start(struct vss_agent *a)
{
	if (mysql_library_init(0, NULL, NULL)) {
		log_err("out of memory");
		return -ENOMEM;
	}
	return vss_db_start(a, &backend, a->own);
}

static void stop(struct vss_agent *a)
{
	vss_db_stop(a);
	mysql_library_end();
}

int main(int argc, char **argv)
{
	static struct program p;
	static const struct option_def options[] = {
		{ 0, "defaults-file", "FILE", "options, instead of my.cnf's",
		  &p.defaults_file },
		{ 0, "socket", "PATH", "the server's socket", &p.socket },
		{ 0, "user", "NAME", "whom to connect as", &p.user },
		{ 0 },
	};
	static const struct vss_agent_def def = {
		.program = "hv_vss_mariadb",
		.summary = "Have MariaDB take part in backups.",
		.options = options,
		.start = start,
		.asked = vss_db_asked,
		.release = vss_db_release,
		.busy = vss_db_busy,
		.stop = stop,
		.status = vss_db_status,
	};

	return vss_agent_main(&def, &p, argc, argv);
}
