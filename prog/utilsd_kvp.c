/* prog/utilsd_kvp.c - KVP: the driver, and the device file on which it meets
 * its daemon. */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "kvp/kvp.h"
#include "utilsd.h"

struct service {
	struct kvp *kvp;
	struct dev *dev;
};

/* The device file ------------------------------------------------------- */

static int send_to_daemon(void *arg, const void *buf, size_t len)
{
	return dev_send(arg, buf, len);
}

static int on_open(void *arg, struct dev_client *c)
{
	const struct kvp_daemon d = { .send = send_to_daemon, .arg = c };
	struct service *s = arg;
	int err = kvp_daemon_open(s->kvp, &d);

	if (err < 0)
		log_warn("hv_kvp_dev: process %d is refused, another has it open",
			 (int)dev_client_pid(c));
	return err;
}

static void on_message(void *arg, struct dev_client *c, const uint8_t *buf,
		       size_t len)
{
	struct service *s = arg;

	if (kvp_daemon_message(s->kvp, buf, len) < 0) {
		log_warn("hv_kvp_dev: process %d sent %zu bytes that are no registration",
			 (int)dev_client_pid(c), len);
		dev_client_close(c);
	}
}

static void on_closed(void *arg, struct dev_client *c)
{
	struct service *s = arg;

	log_info("hv_kvp_dev: process %d closed it", (int)dev_client_pid(c));
	kvp_daemon_gone(s->kvp);
}

static const struct dev_ops dev_ops = {
	.opened = on_open, .message = on_message, .closed = on_closed,
};

/* Status ---------------------------------------------------------------- */

static json_t *requests_json(const struct kvp_stats *s)
{
	json_t *o = json_object();

	for (unsigned op = 0; op < KVP_N_OPS; op++)
		json_object_set_new(o, kvp_op_name(op),
				    json_integer((json_int_t)s->requests[op]));
	json_object_set_new(o, "unknown", json_integer(
				(json_int_t)s->requests[KVP_N_OPS]));
	return o;
}

static json_t *status(void *arg, json_t *channel)
{
	struct service *s = arg;
	enum kvp_state state = kvp_state_get(s->kvp);
	struct kvp_stats k;
	struct ic_stats i;
	json_t *o, *counters;
	uint64_t refused, dropped;

	ic_stats_get(kvp_ic(s->kvp), &i);
	kvp_stats_get(s->kvp, &k);
	refused = k.refused + i.refused;
	dropped = i.dropped + k.malformed;
	o = json_pack("{s:s, s:s?}",
		      "daemon", kvp_state_name(state), "form",
		      state == KVP_NO_DAEMON ? NULL :
		      kvp_form_get(s->kvp) == KVP_FORM_LINUX ? "linux" :
							       "freebsd");
	counters = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}",
			     "requests", requests_json(&k),
			     "answered", (json_int_t)k.answered,
			     "refused", (json_int_t)refused,
			     "no_daemon", (json_int_t)k.no_daemon,
			     "timeouts", (json_int_t)k.timeouts,
			     "late_answers", (json_int_t)k.stale,
			     "dropped", (json_int_t)dropped);
	json_object_update(o, channel);
	json_object_update(o, counters);
	json_decref(channel);
	json_decref(counters);
	return o;
}

/* Start and end --------------------------------------------------------- */

static int start(void **state, struct loop *l, const struct conf *conf)
{
	const struct kvp_cfg cfg = {
		.timeout_ms = conf->kvp_timeout_ms,
		.set_ip_timeout_ms = conf->kvp_set_ip_timeout_ms,
		.hold_ms = conf->kvp_negotiation_hold_ms,
	};
	const struct dev_cfg dev = {
		.mode = conf->kvp_device_mode,
		.max_msg = KVP_DEVMSG_MAX,
	};
	struct service *s = calloc(1, sizeof(*s));

	*state = s;
	if (!s)
		return -ENOMEM;
	s->kvp = kvp_new(l, &cfg);
	if (!s->kvp)
		return -ENOMEM;
	return utilsd_dev_open(&s->dev, l, conf, "hv_kvp_dev", dev, &dev_ops,
			       s);
}

static void stop(void *arg)
{
	struct service *s = arg;

	if (!s)
		return;
	dev_free(s->dev);
	kvp_free(s->kvp);
	free(s);
}

static struct ic *service_ic(void *arg)
{
	struct service *s = arg;

	return kvp_ic(s->kvp);
}

const struct utilsd_service utilsd_kvp = {
	.name = "kvp", .type = HV_IC_KVP, .start = start, .stop = stop,
	.ic = service_ic, .status = status,
};
