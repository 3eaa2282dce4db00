/* host/host_ic_wire.c - see doc/wire/ic.md for the tables this follows.
 * Sources: Linux include/linux/hyperv.h (vmbuspipe_hdr, icmsg_hdr,
 * icmsg_negotiate), OpenVMM hyperv_ic_protocol. */
#include "host/host_ic_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t get_version(struct rd *r)
{
	uint16_t major = rd_le16(r);

	return HV_IC_VERSION(major, rd_le16(r));
}

static void put_version(struct wr *w, uint32_t v)
{
	wr_le16(w, HV_IC_MAJOR(v));
	wr_le16(w, HV_IC_MINOR(v));
}

static int bad(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

int host_ic_get(struct host_ic_msg *m, const void *buf, size_t len,
		const char **why)
{
	struct rd r = rd_of(buf, len);

	*m = (struct host_ic_msg){ 0 };
	m->pipe_kind = rd_le32(&r);
	m->pipe_len = rd_le32(&r);
	if (r.bad)
		return bad(why, "a packet too short for a pipe header");
	if (m->pipe_kind != HV_IC_PIPE_DATA)
		return bad(why, "a pipe packet that is not data");
	if (m->pipe_len > r.left)
		return bad(why, "a pipe length beyond the packet");
	if (m->pipe_len < HV_IC_HDR)
		return bad(why, "a message too short for its header");
	if (m->pipe_len > HV_IC_MSG_MAX)
		return bad(why, "a message over 13312 bytes");
	r.left = m->pipe_len;
	m->framework = get_version(&r);
	m->type = rd_le16(&r);
	m->version = get_version(&r);
	m->body_len = rd_le16(&r);
	m->status = rd_le32(&r);
	m->xact = rd_u8(&r);
	m->flags = rd_u8(&r);
	m->reserved = rd_le16(&r);
	m->body = rd_bytes(&r, m->body_len);
	return r.bad ? bad(why, "a body size beyond the message") : 0;
}

void host_ic_put(struct wr *w, const struct host_ic_msg *m)
{
	wr_le32(w, m->pipe_kind);
	wr_le32(w, HV_IC_HDR + m->body_len);
	put_version(w, m->framework);
	wr_le16(w, m->type);
	put_version(w, m->version);
	wr_le16(w, m->body_len);
	wr_le32(w, m->status);
	wr_u8(w, m->xact);
	wr_u8(w, m->flags);
	wr_le16(w, m->reserved);
	wr_bytes(w, m->body, m->body_len);
}

void host_ic_put_versions(struct wr *w, const struct host_versions *framework,
			  const struct host_versions *message)
{
	wr_le16(w, (uint16_t)framework->n);
	wr_le16(w, (uint16_t)message->n);
	wr_le32(w, 0);
	for (unsigned i = 0; i < framework->n; i++)
		put_version(w, framework->v[i]);
	for (unsigned i = 0; i < message->n; i++)
		put_version(w, message->v[i]);
}

int host_ic_get_choice(struct host_ic_choice *c, const void *body, size_t len)
{
	struct rd r = rd_of(body, len);

	c->n_framework = rd_le16(&r);
	c->n_message = rd_le16(&r);
	rd_skip(&r, 4);
	c->framework = get_version(&r);
	c->message = get_version(&r);
	return r.bad ? -EBADMSG : 0;
}

char *host_version_text(char out[HOST_VERSION_TEXT], uint32_t version)
{
	if (version)
		snprintf(out, HOST_VERSION_TEXT, "%u.%u", HV_IC_MAJOR(version),
			 HV_IC_MINOR(version));
	else
		snprintf(out, HOST_VERSION_TEXT, "none");
	return out;
}

int host_version_parse(uint32_t *version, const char *text)
{
	unsigned major, minor;
	char end;

	if (text[0] < '0' || text[0] > '9' ||
	    sscanf(text, "%5u.%5u%c", &major, &minor, &end) != 2 ||
	    major > UINT16_MAX || minor > UINT16_MAX)
		return -EINVAL;
	*version = HV_IC_VERSION(major, minor);
	return 0;
}

static const struct {
	uint32_t status;
	const char *name;
} status_names[] = {
	{ HV_S_OK, "ok" },
	{ HV_E_FAIL, "fail" },
	{ HV_S_CONT, "no-more-items" },
	{ HV_ERROR_NOT_SUPPORTED, "not-supported" },
	{ HV_ERROR_MACHINE_LOCKED, "machine-locked" },
	{ HV_ERROR_DEVICE_NOT_CONNECTED, "not-connected" },
	{ HV_INVALIDARG, "invalid-argument" },
	{ HV_GUID_NOTFOUND, "no-such-adapter" },
};

enum { N_STATUS = sizeof(status_names) / sizeof(status_names[0]) };

const char *host_status_name(uint32_t status)
{
	static char hex[12];

	for (unsigned i = 0; i < N_STATUS; i++) {
		if (status_names[i].status == status)
			return status_names[i].name;
	}
	snprintf(hex, sizeof(hex), "0x%08x", status);
	return hex;
}

int host_status_parse(uint32_t *status, const char *name)
{
	unsigned long v;
	char *end;

	for (unsigned i = 0; i < N_STATUS; i++) {
		if (!strcmp(status_names[i].name, name)) {
			*status = status_names[i].status;
			return 0;
		}
	}
	if (strncmp(name, "0x", 2) != 0)
		return -EINVAL;
	v = strtoul(name, &end, 16);
	if (*end || end == name + 2 || v > UINT32_MAX)
		return -EINVAL;
	*status = (uint32_t)v;
	return 0;
}
