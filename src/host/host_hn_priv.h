/* host/host_hn_priv.h - what host_hn.c (the channel), host_hn_rndis.c (control
 * messages) and host_hn_data.c (frames, slots) share. */
#ifndef HOST_HN_PRIV_H
#define HOST_HN_PRIV_H

#include "host/host_hn.h"
#include "host/host_nvs_wire.h"
#include "host/host_rndis_wire.h"

enum {
	HOST_HN_CONTROL_SLOTS = 16,
	HOST_HN_OUTSTANDING = 1024,	/* sends not yet completed: then pause */
	HOST_HN_DONE_CAP = HOST_HN_OUTSTANDING + 64,
	HOST_HN_NOTES = 16,		/* untold NVSP messages but completions */
	HOST_HN_CONTROL_QUEUE = 100 << 10,	/* bytes of untold answers */
	HOST_HN_RANGES = 375,		/* frames in a packet, OpenVMM's most */
	HOST_HN_SEND_MAX = 256 << 10,	/* bytes of one send */
};

#define HOST_HN_NO_SLOT	UINT32_MAX

/* A completion that we owe. */
struct host_hn_done {
	uint64_t xact, due_ms;
	uint32_t status;
};

/* Something else to tell, in order: a message or an empty completion. */
struct host_hn_note {
	uint16_t type;			/* of the packet */
	bool want;			/* a completion, though none is needed */
	uint64_t xact;
	size_t len;
	uint8_t msg[HOST_NVS_LONG];
};

/* An answer or indication that waits for a slot and for the ring. */
struct host_hn_answer {
	struct host_hn_answer *next;
	size_t len;
	uint8_t bytes[];
};

enum host_hn_slot { SLOT_FREE, SLOT_FILLED, SLOT_SENT, SLOT_BEHIND };

struct host_hn {
	struct loop *loop;
	struct host_hn_cfg cfg;
	const struct host_hn_ops *ops;
	void *arg;
	struct host_hn_port port;
	enum host_hn_state state;
	uint32_t version;
	uint64_t caps;
	uint32_t frame_max;		/* bytes with header, without tag */
	bool has_config, has_ndis, has_recv, has_send;
	uint32_t recv_gpadl, send_gpadl;
	/* Receive slots: the first ones are for control. */
	uint32_t slot_size, n_slots;
	uint32_t *next_slot;		/* of the same packet */
	uint8_t *slots;			/* enum host_hn_slot */
	uint32_t *free_slots;		/* a stack */
	uint32_t n_free;
	uint32_t control_free;		/* a bit each */
	/* The packet that is being filled. */
	uint32_t batch[HOST_HN_RANGES];		/* slots */
	uint32_t batch_len[HOST_HN_RANGES];	/* bytes in them */
	uint32_t n_batch;
	bool starved;			/* somebody was told -ENOBUFS */
	uint8_t *copy;			/* of one send */
	/* To be told. */
	struct host_hn_done done[HOST_HN_DONE_CAP];	/* a ring */
	unsigned first_done, n_done;
	struct loop_timer done_timer;
	bool paused;
	struct host_hn_note notes[HOST_HN_NOTES];
	unsigned n_notes;
	struct host_hn_answer *answers;
	size_t answers_len;
	/* RNDIS. */
	bool initialized;		/* once an open */
	uint32_t filter;
	uint8_t mac[HOST_FRAME_MAC];
	uint8_t offload[7];		/* IP4 TCP4 UDP4 TCP6 UDP6, LSO 4 and 6 */
	bool path_asked, path_wants_reply;
	uint64_t path_xact;
	/* The link. */
	bool link, told_link, say_again;
	struct loop_timer link_timer;
	struct host_hn_stats stats;
};

void host_hn_violation(struct host_hn *n, const char *text);
/* The guest broke the protocol: the channel is dead until reopened. */
void host_hn_fail(struct host_hn *n, const char *text);
/* Send what waits, as far as it goes. */
void host_hn_pump(struct host_hn *n);
/* RNDIS was initialised; it is over. */
void host_hn_up(struct host_hn *n);
void host_hn_halt(struct host_hn *n);
size_t host_hn_msg_size(const struct host_hn *n);

/* host_hn_rndis.c: one control message; private bytes. */
void host_hn_control(struct host_hn *n, const uint8_t *msg, size_t len);
void host_hn_indicate(struct host_hn *n, uint32_t status, const void *data,
		      size_t len);
void host_hn_rndis_reset(struct host_hn *n);

/* host_hn_data.c */
int host_hn_slots_new(struct host_hn *n, size_t buf_len);
void host_hn_slots_free_all(struct host_hn *n);
/* An NVS_RNDIS message and its packet. */
void host_hn_send(struct host_hn *n, const struct host_nvs_msg *m,
		  const struct packet *p);
void host_hn_slots_back(struct host_hn *n, uint64_t xact);
/* Send one answer: 0, -EAGAIN no slot or no room. */
int host_hn_put_answer(struct host_hn *n, const struct host_hn_answer *a);
/* Complete a send, now or after the host's delay. */
void host_hn_complete(struct host_hn *n, uint64_t xact, uint32_t status,
		      bool at_once);

#endif
