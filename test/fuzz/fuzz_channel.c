/* test/fuzz/fuzz_channel.c - the whole guest side of a channel, ring, IC and
 * KVP driver, with a hostile host; and the daemon comes, answers and dies in
 * between. The input is a list of steps. */
#include <stdlib.h>
#include <string.h>

#include "hostile.h"
#include "kvp/kvp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct hostile host;
	struct kvp *kvp;
	enum kvp_form form;
	bool daemon;
	struct kvp_msg asked;
};

static int daemon_gets(void *arg, const void *buf, size_t len)
{
	struct world *w = arg;

	(void)kvp_devmsg_get_request(&w->asked, w->form, buf, len);
	return 0;
}

static void daemon_step(void *arg, struct rd *r)
{
	struct world *w = arg;
	const struct kvp_daemon d = { daemon_gets, w };
	uint8_t buf[KVP_DEVMSG_MAX] = { 0 };
	unsigned what = rd_u8(r);
	const uint8_t *bytes;
	size_t n;

	if (!w->daemon) {
		w->form = what % 2 ? KVP_FORM_LINUX : KVP_FORM_FREEBSD;
		kvp_devmsg_put_register(buf, w->form);
		w->daemon = kvp_daemon_open(w->kvp, &d) == 0 &&
			kvp_daemon_message(w->kvp, buf,
					   kvp_devmsg_size(w->form)) == 0;
	} else if (what < 16) {
		kvp_daemon_gone(w->kvp);
		w->daemon = false;
	} else {
		kvp_devmsg_put_answer(buf, w->form, &w->asked);
		bytes = take(r, what % 64, &n);
		if (bytes && n)
			memcpy(buf, bytes, n);
		kvp_daemon_message(w->kvp, buf, kvp_devmsg_size(w->form));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct kvp_cfg cfg = { 2500, 25000, 50000 };
	struct rd r = rd_of(data, size);
	struct world w = { 0 };

	hostile_init(&w.host);
	w.kvp = kvp_new(w.host.loop, &cfg);
	hostile_start(&w.host, kvp_ic(w.kvp), 2608, 7456);
	hostile_run(&w.host, &r, daemon_step, &w);
	hostile_stop(&w.host);
	kvp_free(w.kvp);
	hostile_free(&w.host);
	return 0;
}
