/* host/host_nic.c - who tells whom:
 *
 *   bus -> channel    opened, packets, closed
 *   channel -> port   the guest's frames; port -> channel: the switch's
 *   channel -> VF     the guest listens, asks for a path
 *   VF -> channel     association, completion, notice
 *   VF -> port        which leg carries the frames
 *   VF -> owner       the device comes, goes
 */
#include "host/host_nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct host_nic {
	const struct host_nic_ops *ops;
	void *arg;
	struct host_offer *offer;
	struct channel *channel;
	struct host_hn *hn;
	struct host_port *port;
	struct host_vf *vf;
};

static void changed(struct host_nic *n)
{
	if (n->ops->changed)
		n->ops->changed(n->arg);
}

/* Bus and channel -------------------------------------------------------- */

static int port_send(void *arg, const struct packet *p)
{
	struct host_nic *n = arg;

	return n->channel ? channel_send(n->channel, p) : -ENOTCONN;
}

static void port_pause(void *arg, bool pause)
{
	struct host_nic *n = arg;

	if (n->channel)
		channel_pause(n->channel, pause);
}

static void *port_gpadl(void *arg, uint32_t handle, size_t *len)
{
	return host_offer_gpadl(((struct host_nic *)arg)->offer, handle, len);
}

static void offer_opened(void *arg, struct channel *c)
{
	struct host_nic *n = arg;
	/* This bus shares buffers and gives nothing else an address. */
	const struct host_hn_port port = {
		.send = port_send, .pause = port_pause, .gpadl = port_gpadl,
		.arg = n,
	};

	n->channel = c;
	host_hn_open(n->hn, &port);
	changed(n);
}

static void offer_closed(void *arg, int err)
{
	struct host_nic *n = arg;

	(void)err;			/* the bus has told of it */
	n->channel = NULL;
	host_hn_close(n->hn);
	changed(n);
}

static void offer_packet(void *arg, const struct packet *p)
{
	host_hn_packet(((struct host_nic *)arg)->hn, p);
}

static void offer_writable(void *arg)
{
	host_hn_writable(((struct host_nic *)arg)->hn);
}

static const struct host_offer_ops offer_ops = {
	offer_opened, offer_closed, offer_packet, offer_writable,
};

/* Channel and port ------------------------------------------------------- */

static void on_up(void *arg)
{
	struct host_nic *n = arg;

	host_vf_guest(n->vf, host_hn_takes_vf(n->hn));
	changed(n);
}

static void on_down(void *arg)
{
	struct host_nic *n = arg;

	host_vf_guest(n->vf, false);
	changed(n);
}

static void on_frame(void *arg, const struct host_frame *f)
{
	host_port_input(((struct host_nic *)arg)->port, NVS_PATH_SYNTHETIC, f);
}

static void on_batch_end(void *arg)
{
	host_port_input_end(((struct host_nic *)arg)->port);
}

static void on_path(void *arg, enum nvs_path path)
{
	host_vf_asked(((struct host_nic *)arg)->vf, path);
}

static void on_filter(void *arg, uint32_t filter)
{
	(void)filter;			/* the channel is its gate */
	changed(arg);
}

static void on_violation(void *arg, const char *text)
{
	struct host_nic *n = arg;

	n->ops->violation(n->arg, text);
}

static const struct host_hn_ops hn_ops = {
	.up = on_up, .down = on_down, .frame = on_frame,
	.batch_end = on_batch_end, .path = on_path, .filter = on_filter,
	.violation = on_violation,
};

/* What it does not take is dropped, and counted there: this is a network. */
static void leg_frame(void *arg, const struct host_frame *f)
{
	(void)host_hn_deliver(((struct host_nic *)arg)->hn, f);
}

static void leg_flush(void *arg)
{
	host_hn_flush(((struct host_nic *)arg)->hn);
}

static const struct host_leg_ops leg_ops = { leg_frame, leg_flush };

/* VF --------------------------------------------------------------------- */

static void vf_tell(void *arg, bool present, uint32_t serial)
{
	host_hn_vf(((struct host_nic *)arg)->hn, present, serial);
}

static void vf_device(void *arg, bool present, uint32_t serial)
{
	struct host_nic *n = arg;

	n->ops->vf_device(n->arg, present, serial);
}

static void vf_path_done(void *arg)
{
	host_hn_path_done(((struct host_nic *)arg)->hn);
}

static void vf_path_notice(void *arg)
{
	host_hn_path_notice(((struct host_nic *)arg)->hn);
}

static void vf_steer(void *arg, enum nvs_path path)
{
	host_port_steer(((struct host_nic *)arg)->port, path);
}

static void vf_changed(void *arg, enum host_vf_state s)
{
	(void)s;
	changed(arg);
}

static const struct host_vf_ops vf_ops = {
	vf_tell, vf_device, vf_path_done, vf_path_notice, vf_steer, vf_changed,
};

/* Life ------------------------------------------------------------------- */

static int make_parts(struct host_nic *n, struct loop *l,
		      struct host_vmbus *bus, struct host_switch *s,
		      const struct host_nic_cfg *cfg)
{
	struct host_port_cfg port = cfg->port;

	port.name = cfg->hn.name;
	port.nic = true;
	memcpy(port.mac, cfg->hn.mac, sizeof(port.mac));
	n->hn = host_hn_new(l, &cfg->hn, &hn_ops, n);
	n->vf = host_vf_new(l, &cfg->vf, &vf_ops, n);
	n->port = host_port_new(s, &port);
	if (!n->hn || !n->vf || !n->port)
		return -ENOMEM;
	host_port_leg(n->port, NVS_PATH_SYNTHETIC, &leg_ops, n);
	n->offer = host_offer_new(bus, &guid_class_network, &cfg->instance,
				  false, &offer_ops, n);
	return n->offer ? 0 : -ENOMEM;
}

struct host_nic *host_nic_new(struct loop *l, struct host_vmbus *bus,
			      struct host_switch *s,
			      const struct host_nic_cfg *cfg,
			      const struct host_nic_ops *ops, void *arg)
{
	struct host_nic *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->ops = ops;
	n->arg = arg;
	if (make_parts(n, l, bus, s, cfg) < 0) {
		host_nic_free(n);
		return NULL;
	}
	return n;
}

void host_nic_free(struct host_nic *n)
{
	if (!n)
		return;
	if (n->offer)
		host_offer_free(n->offer);
	host_port_free(n->port);
	host_vf_free(n->vf);
	host_hn_free(n->hn);
	free(n);
}

struct host_offer *host_nic_offer(struct host_nic *n)
{
	return n->offer;
}

struct host_hn *host_nic_hn(struct host_nic *n)
{
	return n->hn;
}

struct host_port *host_nic_port(struct host_nic *n)
{
	return n->port;
}

struct host_vf *host_nic_vf(struct host_nic *n)
{
	return n->vf;
}
