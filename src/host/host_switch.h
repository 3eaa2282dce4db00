/* host/host_switch.h - the host's virtual switch: Ethernet frames between the
 * NICs of guests and the outside.
 *
 * A port of the outside has one leg; which addresses are behind it is learnt.
 * A port of a guest's NIC has an address of its own and up to two legs, the
 * synthetic channel and the VF. What goes to the guest goes through one of
 * them, never both; what comes from it may come through either, and never
 * goes back through the other.
 *
 * Frames are lent for the length of a call and never changed.
 */
#ifndef HOST_SWITCH_H
#define HOST_SWITCH_H

#include "base/loop.h"
#include "hn/nvs_reg.h"
#include "host/host_frame.h"

struct host_switch;
struct host_port;

/* The way out of a port. */
struct host_leg_ops {
	void (*frame)(void *arg, const struct host_frame *f);
	void (*flush)(void *arg);	/* no more for now; may be NULL */
};

struct host_port_cfg {
	const char *name;		/* must outlive the port */
	bool nic;			/* of a guest, with this address */
	uint8_t mac[HOST_FRAME_MAC];
	bool other_macs;		/* the guest may use others, too */
	/* What goes through the synthetic leg though the VF carries the rest:
	 * real NICs leave these to the host's switch. */
	bool groups_synthetic;		/* broadcast and multicast */
	bool first_synthetic;		/* the first packet of a connection */
};

struct host_port_stats {
	uint64_t in[2], out[2];		/* frames, by leg (enum nvs_path) */
	uint64_t flooded;		/* in, to no known address */
	uint64_t refused;		/* in, from an address not allowed */
	uint64_t lost;			/* out, to a leg that is not there */
};

/* NULL when out of memory. */
struct host_switch *host_switch_new(struct loop *l);
void host_switch_free(struct host_switch *s);	/* and its ports; NULL is fine */

/* NULL when out of memory. Its legs are not there yet. */
struct host_port *host_port_new(struct host_switch *s,
				const struct host_port_cfg *cfg);
void host_port_free(struct host_port *p);	/* NULL is fine */

/* A leg comes, or goes (ops NULL). The outside has NVS_PATH_SYNTHETIC. */
void host_port_leg(struct host_port *p, enum nvs_path leg,
		   const struct host_leg_ops *ops, void *arg);
/* Which leg carries what goes to the guest. Begins with the synthetic one. */
void host_port_steer(struct host_port *p, enum nvs_path path);

/* Frames that came in through a leg; then, when there are no more for now. */
void host_port_input(struct host_port *p, enum nvs_path leg,
		     const struct host_frame *f);
void host_port_input_end(struct host_port *p);

const struct host_port_stats *host_port_stats_get(const struct host_port *p);

#endif
