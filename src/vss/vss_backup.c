/* vss/vss_backup.c - from the driver's events to a JSON record a backup.
 *
 * A record begins with the host's CHECK or FREEZE and ends with VSS_ENDED. An
 * application that was told of a failure answers after that, when the host
 * knows already: such an answer completes the record that ended last, in our
 * own memory; whoever was handed the record at its end has it without.
 *
 * Everything that a client or the host can make more of is counted: lists end
 * at their limit, and the oldest records go when all together take more than
 * BYTES_MAX, which also fits in one answer on the control socket.
 */
#include "vss/vss_backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ic/hv_utilreg.h"

enum {
	APPS_MAX = 256,
	STEPS_MAX = 16,		/* of one application */
	DAEMON_STEPS_MAX = 64,
	NOTES_MAX = 64,		/* of one application, */
	ALL_NOTES_MAX = 1024,	/* ... and of all */
	REQUESTS_MAX = 64,	/* the host's */
	TEXT_SIZE = 128,
	BYTES_MAX = 2 << 20,	/* all records, as text */
};

struct ended {
	json_t *json;
	size_t bytes;
};

struct vss_backups {
	void (*ended)(void *arg, json_t *backup);
	void *arg;
	char boot[40];
	/* The record in hand; once it ended, the last one. */
	json_t *json, *host, *daemon, *apps;	/* json's members, borrowed */
	bool in_hand;
	uint64_t at_ms;
	uint64_t party[APPS_MAX];		/* ids, in the order of apps */
	unsigned notes, left_out;
	/* The oldest first. */
	struct ended done[VSS_BACKUPS];
	unsigned n_done;
	size_t bytes;
};

/* Values ------------------------------------------------------------------ */

/* Valid UTF-8 without control characters, whatever text is: up to its NUL, or
 * most - 1 bytes. */
static json_t *text_json(const char *text, size_t most)
{
	char out[TEXT_SIZE];

	vss_text_get(out, text, strnlen(text, most - 1) + 1);
	return json_string(out);
}

static void set_text(json_t *o, const char *key, const char *text)
{
	if (text[0])
		json_object_set_new(o, key, text_json(text, TEXT_SIZE));
}

static void set_us(json_t *o, const char *key, uint64_t ms)
{
	json_object_set_new(o, key, json_integer((json_int_t)(ms * 1000)));
}

/* As hvhost(8) prints it. */
static json_t *status_json(uint32_t status)
{
	switch (status) {
	case HV_S_OK:
		return json_string("ok");
	case HV_E_FAIL:
		return json_string("fail");
	case HV_ERROR_NOT_SUPPORTED:
		return json_string("not-supported");
	case HV_INVALIDARG:
		return json_string("invalid-argument");
	}
	return json_sprintf("0x%08x", status);
}

static json_t *wall_clock_json(void)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return json_sprintf("%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static const char *opt_text(unsigned opt)
{
	static const char *const names[] = {
		[HV_VSS_CHECK] = "check", [HV_VSS_FREEZE] = "freeze",
		[HV_VSS_THAW] = "thaw", [HV_VSS_ABORT] = "abort",
	};

	return opt >= HV_VSS_CHECK && opt <= HV_VSS_ABORT ? names[opt] :
							    "unknown";
}

/* Add an object to a list, or count it; NULL then. */
static json_t *add(struct vss_backups *b, json_t *list, size_t most)
{
	json_t *o;

	if (json_array_size(list) >= most) {
		b->left_out++;
		return NULL;
	}
	o = json_object();
	return json_array_append_new(list, o) == 0 ? o : NULL;
}

/* The last entry of the list whose `key` is `name` and that has no `open`
 * member yet. */
static json_t *last_open(json_t *list, const char *key, const char *name,
			 const char *open)
{
	for (size_t i = json_array_size(list); i--; ) {
		json_t *o = json_array_get(list, i);
		const char *is = json_string_value(json_object_get(o, key));

		if (is && !strcmp(is, name))
			return json_object_get(o, open) ? NULL : o;
	}
	return NULL;
}

/* A record's life --------------------------------------------------------- */

static void begin(struct vss_backups *b, const struct vss_event *e)
{
	json_decref(b->json);
	b->json = json_pack("{s:o, s:s, s:o, s:I, s:[], s:[], s:[]}",
			    "id", json_sprintf("%llu",
					       (unsigned long long)e->msgid),
			    "boot", b->boot, "started", wall_clock_json(),
			    "at_us", (json_int_t)(e->at_ms * 1000),
			    "host", "daemon", "applications");
	b->host = json_object_get(b->json, "host");
	b->daemon = json_object_get(b->json, "daemon");
	b->apps = json_object_get(b->json, "applications");
	b->at_ms = e->at_ms;
	b->notes = b->left_out = 0;
	b->in_hand = true;
}

static void drop_oldest(struct vss_backups *b)
{
	b->bytes -= b->done[0].bytes;
	json_decref(b->done[0].json);
	memmove(b->done, b->done + 1, --b->n_done * sizeof(b->done[0]));
}

static void keep(struct vss_backups *b)
{
	size_t bytes = json_dumpb(b->json, NULL, 0, JSON_COMPACT);

	while (b->n_done && (b->n_done == VSS_BACKUPS ||
			     b->bytes + bytes > BYTES_MAX))
		drop_oldest(b);
	b->done[b->n_done++] = (struct ended){ json_incref(b->json), bytes };
	b->bytes += bytes;
}

static void end(struct vss_backups *b, const struct vss_event *e)
{
	set_us(b->json, "took_us", e->at_ms - b->at_ms);
	json_object_set_new(b->json, "result",
			    json_string(vss_result_name(e->result)));
	set_text(b->json, "why", e->why);
	if (b->left_out)
		json_object_set_new(b->json, "left_out",
				    json_integer(b->left_out));
	b->in_hand = false;
	keep(b);
	if (b->ended)
		b->ended(b->arg, b->json);
}

/* The host ---------------------------------------------------------------- */

static void host_asked(struct vss_backups *b, const struct vss_event *e)
{
	json_t *o;

	if (!b->in_hand && (e->op == VSS_HOT_BACKUP || e->op == VSS_FREEZE))
		begin(b, e);
	if (!b->in_hand)
		return;
	o = add(b, b->host, REQUESTS_MAX);
	if (!o)
		return;
	json_object_set_new(o, "op", json_string(vss_op_name(e->op)));
	set_us(o, "at_us", e->at_ms);
}

static void host_told(struct vss_backups *b, const struct vss_event *e)
{
	json_t *o = last_open(b->host, "op", vss_op_name(e->op), "status");

	if (!b->in_hand || !o)
		return;
	set_us(o, "took_us", e->took_ms);
	json_object_set_new(o, "status", status_json(e->status));
	set_text(o, "why", e->why);
}

/* Those who are asked ----------------------------------------------------- */

/* The application's object; a new one only while the record is in hand. */
static json_t *app_of(struct vss_backups *b, const struct vss_event *e)
{
	size_t n = json_array_size(b->apps);
	json_t *o;

	for (size_t i = 0; i < n; i++)
		if (b->party[i] == e->party_id)
			return json_array_get(b->apps, i);
	if (!b->in_hand)
		return NULL;
	o = add(b, b->apps, APPS_MAX);
	if (!o)
		return NULL;
	b->party[n] = e->party_id;
	json_object_set_new(o, "name", text_json(
				e->party->name, sizeof(e->party->name)));
	json_object_set_new(o, "pid", json_integer(e->party->pid));
	json_object_set_new(o, "uid", json_integer(e->party->uid));
	json_object_set_new(o, "steps", json_array());
	return o;
}

/* NULL: there is no room for the party. */
static json_t *steps_of(struct vss_backups *b, const struct vss_event *e,
			size_t *most)
{
	*most = e->party_id ? STEPS_MAX : DAEMON_STEPS_MAX;
	if (e->party_id)
		return json_object_get(app_of(b, e), "steps");
	return b->in_hand ? b->daemon : NULL;
}

static json_t *step_new(struct vss_backups *b, const struct vss_event *e,
			uint64_t at_ms)
{
	size_t most;
	json_t *steps = steps_of(b, e, &most);
	json_t *o = steps ? add(b, steps, most) : NULL;

	if (!o)
		return NULL;
	json_object_set_new(o, "opt", json_string(opt_text(e->opt)));
	set_us(o, "at_us", at_ms);
	return o;
}

static void asked(struct vss_backups *b, const struct vss_event *e)
{
	if (b->in_hand)
		step_new(b, e, e->at_ms);
}

/* Also what nobody was asked for: that it is gone, or had to thaw. */
static void answered(struct vss_backups *b, const struct vss_event *e)
{
	size_t most;
	json_t *steps = steps_of(b, e, &most);
	json_t *o = last_open(steps, "opt", opt_text(e->opt), "outcome");

	if (!o && b->in_hand)
		o = step_new(b, e, e->at_ms - e->took_ms);
	if (!o)
		return;
	set_us(o, "took_us", e->took_ms);
	json_object_set_new(o, "outcome",
			    json_string(vss_outcome_name(e->outcome)));
	set_text(o, "why", e->why);
}

static void noted(struct vss_backups *b, const struct vss_event *e)
{
	json_t *app = e->party_id ? app_of(b, e) : NULL, *notes, *o;

	if (!app)
		return;
	if (b->notes == ALL_NOTES_MAX) {
		b->left_out++;
		return;
	}
	notes = json_object_get(app, "notes");
	if (!notes) {
		notes = json_array();
		json_object_set_new(app, "notes", notes);
	}
	o = add(b, notes, NOTES_MAX);
	if (!o)
		return;
	b->notes++;
	json_object_set_new(o, "part", text_json(e->part, TEXT_SIZE));
	json_object_set_new(o, "phase", json_string(opt_text(e->opt)));
	set_us(o, "took_us", e->took_ms);
	json_object_set_new(o, "outcome",
			    json_string(vss_outcome_name(e->outcome)));
}

void vss_backups_observe(void *arg, const struct vss_event *e)
{
	struct vss_backups *b = arg;

	switch (e->what) {
	case VSS_HOST_ASKED:
		host_asked(b, e);
		break;
	case VSS_HOST_TOLD:
		host_told(b, e);
		break;
	case VSS_ASKED:
		asked(b, e);
		break;
	case VSS_ANSWERED:
		answered(b, e);
		break;
	case VSS_NOTED:
		noted(b, e);
		break;
	case VSS_ENDED:
		if (b->in_hand)
			end(b, e);
		break;
	}
}

/* Life -------------------------------------------------------------------- */

static void read_boot_id(struct vss_backups *b)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f)
		return;
	if (fgets(b->boot, sizeof(b->boot), f))
		b->boot[strcspn(b->boot, "\n")] = '\0';
	fclose(f);
}

struct vss_backups *vss_backups_new(void (*ended)(void *arg, json_t *backup),
				    void *arg)
{
	struct vss_backups *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->ended = ended;
	b->arg = arg;
	read_boot_id(b);
	return b;
}

void vss_backups_free(struct vss_backups *b)
{
	if (!b)
		return;
	while (b->n_done)
		drop_oldest(b);
	json_decref(b->json);
	free(b);
}

json_t *vss_backups_json(const struct vss_backups *b)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < b->n_done; i++)
		json_array_append(list, b->done[i].json);
	return list;
}

json_t *vss_backups_current(const struct vss_backups *b)
{
	return b->in_hand ? json_incref(b->json) : NULL;
}
