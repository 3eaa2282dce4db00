/* hn/gro.h - join TCP segments that follow each other into one large frame,
 * so that the guest's stack is entered once for many of them.
 *
 * What comes out means exactly what went in: the same bytes under the same
 * headers, in each connection's order; whoever cuts the large frame again gets
 * the segments back. Only segments whose sums were found good may go in: TCP
 * sums come out as "to be made". Nothing is kept longer than until
 * gro_flush(), after each batch.
 */
#ifndef GRO_H
#define GRO_H

#include "hn/frame.h"
#include "hn/offload.h"

struct gro;

enum {
	GRO_ROOM = OFFLOAD_VNET_HDR + FRAME_VLAN_TAG,	/* in front of a frame */
};

/* A frame with its virtio-net header in front, n segments in it. */
typedef void gro_emit(void *arg, uint8_t *buf, size_t len, unsigned n);

/* NULL when out of memory. */
struct gro *gro_new(gro_emit *emit, void *arg);
void gro_free(struct gro *g);			/* NULL is fine */

/* A frame that the host has verified; tci: of the VLAN tag that belongs in
 * front of it, -1 none. True: a copy was taken. False: it is nothing to join,
 * hand it on now; what came before it on its connection has been emitted. */
bool gro_take(struct gro *g, const uint8_t *frame, size_t len, int tci);
/* Emit all there is. */
void gro_flush(struct gro *g);
/* Forget it. */
void gro_drop(struct gro *g);

#endif
