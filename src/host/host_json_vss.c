/* host/host_json_vss.c - the JSON of host_json.h that is about backups. */
#include <errno.h>

#include "host/host_json.h"

/* Reading ---------------------------------------------------------------- */

/* A whole number up to most, left alone if it is absent. */
static const char *read_u32(uint32_t *v, const json_t *o, const char *name,
			    uint32_t most)
{
	const json_t *j = json_object_get(o, name);

	if (!j)
		return NULL;
	if (!json_is_integer(j) || json_integer_value(j) < 0 ||
	    json_integer_value(j) > most)
		return name;
	*v = (uint32_t)json_integer_value(j);
	return NULL;
}

static const char *read_u8(uint8_t *v, const json_t *o, const char *name)
{
	uint32_t wide = *v;
	const char *bad = read_u32(&wide, o, name, UINT8_MAX);

	*v = (uint8_t)wide;
	return bad;
}

static const char *read_bool(bool *v, const json_t *o, const char *name)
{
	const json_t *j = json_object_get(o, name);

	if (j && !json_is_boolean(j))
		return name;
	if (j)
		*v = json_is_true(j);
	return NULL;
}

static const char *read_guid(struct guid *g, const json_t *o, const char *name)
{
	const json_t *j = json_object_get(o, name);

	if (j && (!json_is_string(j) ||
		  guid_parse(g, json_string_value(j)) < 0))
		return name;
	return NULL;
}

static const char *read_lun(struct host_vss_lun *l, const json_t *o)
{
	if (!json_is_object(o) || read_u8(&l->bus, o, "bus") ||
	    read_guid(&l->controller, o, "controller") ||
	    read_u8(&l->port, o, "port") || read_u8(&l->target, o, "target") ||
	    read_u8(&l->lun, o, "lun"))
		return "luns";
	return NULL;
}

/* Disks 0, 1, ... of a SCSI controller that nobody has. */
static void make_luns(struct host_vss_msg *m, uint32_t n)
{
	const struct guid controller = { { 0xba, 0xd1, 0xd1, 0x5c } };

	m->n_luns = n;
	for (uint32_t i = 0; i < n; i++)
		m->luns[i] = (struct host_vss_lun){
			.bus = 1, .controller = controller,
			.lun = (uint8_t)i, .target = (uint8_t)(i >> 8) };
}

const char *host_json_vss_luns(struct host_vss_msg *m, const json_t *object)
{
	const json_t *luns = json_object_get(object, "luns"), *l;
	uint32_t n = 1;
	size_t i;

	if (read_u32(&m->backup_type, object, "backup-type", UINT32_MAX))
		return "backup-type";
	if (!json_is_array(luns)) {
		if (read_u32(&n, object, "luns", VSS_MAX_LUNS))
			return "luns";
		make_luns(m, n);
		return NULL;
	}
	m->n_luns = (uint32_t)json_array_size(luns);
	if (m->n_luns > VSS_MAX_LUNS)
		return "luns";
	json_array_foreach((json_t *)luns, i, l) {
		if (read_lun(&m->luns[i], l))
			return "luns";
	}
	return NULL;
}

const char *host_json_vss_msg(struct host_vss_msg *m, const json_t *object)
{
	const json_t *op = json_object_get(object, "op");
	const char *bad;

	memset(m, 0, sizeof(*m));
	if (json_is_string(op)) {
		if (host_vss_op_parse(&m->op, json_string_value(op)) < 0)
			return "op";
	} else if (!op || read_u8(&m->op, object, "op")) {
		return "op";
	}
	bad = read_u32(&m->flags, object, "flags", UINT32_MAX);
	if (!bad)
		bad = read_guid(&m->set, object, "set");
	return bad ? bad : host_json_vss_luns(m, object);
}

static const char *read_order(struct host_vss_manner *how, const json_t *o)
{
	const json_t *order = json_object_get(o, "order"), *j;
	size_t i;

	if (!order)
		return NULL;
	if (!json_is_array(order) || json_array_size(order) > HOST_VSS_ORDER)
		return "order";
	how->n_order = 0;
	json_array_foreach((json_t *)order, i, j) {
		int step = json_is_string(j) ?
			host_vss_step_find(json_string_value(j)) : -ENOENT;

		if (step < 0)
			return "order";
		how->order[how->n_order++] = (enum host_vss_step)step;
	}
	return NULL;
}

static const char *read_offline(struct host_vss_manner *how, const json_t *o)
{
	static const char *const names[] = { "never", "check", "freeze" };
	const json_t *j = json_object_get(o, "offline");

	if (!j)
		return NULL;
	for (unsigned i = 0; json_is_string(j) && i < 3; i++) {
		if (!strcmp(names[i], json_string_value(j))) {
			how->offline = (enum host_vss_offline)i;
			return NULL;
		}
	}
	return "offline";
}

const char *host_json_vss_manner(struct host_vss_manner *how,
				 const json_t *object)
{
	uint32_t again = how->thaw_again;
	const char *bad = read_order(how, object);

	if (!bad)
		bad = read_offline(how, object);
	if (!bad)
		bad = read_u32(&how->freeze_ms, object, "freeze-ms",
			       UINT32_MAX);
	if (!bad)
		bad = read_u32(&how->other_ms, object, "other-ms", UINT32_MAX);
	if (!bad)
		bad = read_u32(&again, object, "thaw-again", 4);
	if (!bad)
		bad = read_bool(&how->thaw_refused, object, "thaw-refused");
	if (!bad)
		bad = read_bool(&how->thaw_unanswered, object,
				"thaw-unanswered");
	how->thaw_again = again;
	return bad;
}

const char *host_json_vss_snapshot(struct host_vss_snapshot_cfg *cfg,
				   const json_t *object)
{
	const char *bad = read_u32(&cfg->hold_ms, object, "hold-ms",
				   UINT32_MAX);

	if (!bad)
		bad = read_u32(&cfg->work_ms, object, "work-ms", UINT32_MAX);
	if (!bad)
		bad = read_bool(&cfg->work, object, "work");
	return bad ? bad : read_bool(&cfg->no_thaw, object, "no-thaw");
}

/* Writing ---------------------------------------------------------------- */

json_t *host_json_vss_took(const struct host_vss_took *t)
{
	json_t *j = json_pack("{s:s, s:b, s:I}", "step",
			      host_vss_step_name(t->step), "ended", t->ended,
			      "at_ms", (json_int_t)t->at_ms);

	if (t->ended)
		json_object_update_new(j, json_pack("{s:s, s:I}", "status",
			host_vss_end_name(t->err, t->status),
			"took_ms", (json_int_t)t->took_ms));
	return j;
}

json_t *host_json_vss_verdict(const struct host_vss_verdict *v)
{
	json_t *steps = json_array();

	for (unsigned i = 0; i < v->n; i++)
		json_array_append_new(steps, host_json_vss_took(&v->step[i]));
	return json_pack("{s:s, s:s*, s:I, s:I, s:o}", "outcome",
			 host_vss_outcome_name(v->outcome), "why",
			 v->why[0] ? v->why : NULL, "took_ms",
			 (json_int_t)v->took_ms, "frozen_ms",
			 (json_int_t)v->frozen_ms, "steps", steps);
}

static json_t *guid(const struct guid *g)
{
	char text[GUID_TEXT];

	return json_string(guid_text(text, g));
}

void host_json_vss_answer(json_t *object, const struct host_vss_msg *m,
			  uint32_t status)
{
	if (status != HV_S_OK)
		return;
	if (m->op == VSS_HOT_BACKUP || m->op == VSS_GET_DM_INFO)
		json_object_set_new(object, "flags", json_integer(m->flags));
	if (m->op == VSS_CLUSTER_INFO)
		json_object_set_new(object, "cluster", json_pack(
			"{s:o, s:I, s:I}", "id", guid(&m->set), "size",
			(json_int_t)m->cluster_size, "luns",
			(json_int_t)m->n_luns));
}

json_t *host_json_vss_status(const struct host *h)
{
	struct host_vss *v = host_vss_of(h);
	const struct host_vss_verdict *last = host_vss_last(v);
	const struct host_vss_stats *s = host_vss_stats_get(v);
	struct host_vss_snapshot *running = host_vss_running(v);
	json_t *outcomes = json_object();
	uint64_t for_ms;
	bool frozen = host_vss_frozen(v, &for_ms);

	for (enum host_vss_outcome o = 0; o <= HOST_VSS_ABANDONED; o++)
		json_object_set_new(outcomes, host_vss_outcome_name(o),
				    json_integer((json_int_t)s->outcome[o]));
	return json_pack("{s:b, s:I, s:I, s:s*, s:o, s:o*}", "frozen", frozen,
			 "frozen_for_ms", (json_int_t)for_ms, "frozen_ms",
			 (json_int_t)(s->frozen_ms + for_ms), "step", running ?
			 host_vss_step_name(host_vss_at(running)) : NULL,
			 "snapshots", outcomes, "last",
			 last ? host_json_vss_verdict(last) : NULL);
}
