/* prog/hvhost_replay.c - hvhost replay and hvhost trace. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "host/host_replay.h"
#include "hvhost.h"

struct replay {
	struct loop *loop;
	const char *path;
	int status;
};

static void on_difference(void *arg, unsigned line, const char *text)
{
	struct replay *r = arg;

	if (line)
		printf("%s:%u: %s\n", r->path, line, text);
	else
		printf("%s: %s\n", r->path, text);
}

static void on_done(void *arg, unsigned differences, bool complete)
{
	struct replay *r = arg;

	printf("%s: %s, %u differences\n", r->path,
	       complete ? "played to its end" : "stopped early", differences);
	r->status = complete && !differences ? HVHOST_OK : HVHOST_NO;
	loop_stop(r->loop, 0);
}

static int play(struct replay *r, struct host_replay_cfg *cfg)
{
	struct host_replay *replay;

	r->loop = loop_new(LOOP_REAL);
	if (!r->loop || loop_stop_on_signals(r->loop) < 0)
		return HVHOST_REFUSED;
	replay = host_replay_new(r->loop, cfg);
	if (!replay) {
		fprintf(stderr, "hvhost replay: %s: %s\n", cfg->path,
			strerror(errno));
		return HVHOST_REFUSED;
	}
	r->status = HVHOST_NO;
	loop_run(r->loop);
	host_replay_free(replay);
	loop_free(r->loop);
	return r->status;
}

int hvhost_replay(int argc, char **argv)
{
	struct hvhost_args a = { 0 };
	const char *patience = "30";
	struct host_trace_file trace;
	struct replay r = { 0 };
	char bus[HVHOST_PATH], err[400];
	const struct option_def defs[] = {
		{ 0, "dir", "DIR", "where the socket shall be", &a.dir },
		{ 't', "timeout", "SECONDS", "patience with the guest, each "
		  "time; default 30", &patience },
		{ 0 },
	};
	const struct options_text text = {
		"hvhost replay", "TRACE",
		"play a trace's host against a live guest",
	};
	int code = hvhost_parse(&a, &text, defs, 1, 1, argc, argv);
	long seconds;
	char *end;

	if (code)
		return code - 1;
	seconds = strtol(patience, &end, 10);
	if (*end || seconds < 1 || seconds > 86400) {
		fprintf(stderr, "hvhost replay: '%s' is no time of 1 to 86400 "
			"seconds\n", patience);
		return HVHOST_USAGE;
	}
	if (hvhost_path(bus, a.dir, "vmbus") < 0)
		return HVHOST_USAGE;
	r.path = a.operand[0];
	if (host_trace_read(&trace, r.path, err, sizeof(err)) < 0) {
		fprintf(stderr, "hvhost replay: %s\n", err);
		return HVHOST_USAGE;
	}
	struct host_replay_cfg cfg = {
		.path = bus, .trace = &trace,
		.patience_ms = (unsigned)seconds * 1000,
		.differs = on_difference, .done = on_done, .arg = &r,
	};

	code = play(&r, &cfg);
	host_trace_free(&trace);
	return code;
}

/* The last packet to the guest before line i, on the same channel. */
static const struct host_trace_line *
request_before(const struct host_trace_file *t, size_t i)
{
	const char *ch = t->lines[i].ch;

	while (i-- > 0) {
		const struct host_trace_line *l = &t->lines[i];

		if (!l->event[0] && l->to_guest && !strcmp(l->ch, ch))
			return l;
	}
	return NULL;
}

int hvhost_trace(int argc, char **argv)
{
	struct hvhost_args a = { 0 };
	const struct option_def defs[] = { { 0 } };
	const struct options_text text = {
		"hvhost trace", "TRACE", "print a trace, a line a packet",
	};
	int code = hvhost_parse(&a, &text, defs, 1, 1, argc, argv);
	struct host_trace_file trace;
	char err[400];

	if (code)
		return code - 1;
	if (host_trace_read(&trace, a.operand[0], err, sizeof(err)) < 0) {
		fprintf(stderr, "hvhost trace: %s\n", err);
		return HVHOST_USAGE;
	}
	for (size_t i = 0; i < trace.n; i++)
		host_trace_print(stdout, &trace.lines[i],
				 request_before(&trace, i));
	host_trace_free(&trace);
	return HVHOST_OK;
}
