/* host/host_nic.h - one synthetic NIC of a guest, put together: an offer on
 * the bus (host_vmbus), its channel (host_hn), its port on the switch
 * (host_switch) and the life of its VF (host_vf).
 *
 * What the VF's device is, is the owner's: when it comes it gives the port a
 * second leg, when it goes it takes that away.
 */
#ifndef HOST_NIC_H
#define HOST_NIC_H

#include "host/host_hn.h"
#include "host/host_switch.h"
#include "host/host_vf.h"
#include "host/host_vmbus.h"

struct host_nic;

struct host_nic_cfg {
	struct guid instance;
	struct host_hn_cfg hn;
	struct host_port_cfg port;	/* name, nic and mac are hn's */
	struct host_vf_manners vf;
};

/* Callbacks may call anything here but host_nic_free(). */
struct host_nic_ops {
	/* The VF's function appears in the guest, or vanishes from it. */
	void (*vf_device)(void *arg, bool present, uint32_t serial);
	/* The channel's or the VF's state is another one; may be NULL. */
	void (*changed)(void *arg);
	/* Something that a correct guest does not do. */
	void (*violation)(void *arg, const char *text);
};

/* Offers the NIC. NULL when out of memory. Bus and switch must outlive it. */
struct host_nic *host_nic_new(struct loop *l, struct host_vmbus *bus,
			      struct host_switch *s,
			      const struct host_nic_cfg *cfg,
			      const struct host_nic_ops *ops, void *arg);
void host_nic_free(struct host_nic *n);		/* NULL is fine */

/* For whoever wants to look, to rescind, or to attach a VF. */
struct host_offer *host_nic_offer(struct host_nic *n);
struct host_hn *host_nic_hn(struct host_nic *n);
struct host_port *host_nic_port(struct host_nic *n);
struct host_vf *host_nic_vf(struct host_nic *n);

#endif
