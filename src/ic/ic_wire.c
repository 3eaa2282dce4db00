/* ic/ic_wire.c - the guest's half of the integration-component framing. */
#include "ic/ic_wire.h"

#include <errno.h>

static uint32_t version_get(struct rd *r)
{
	uint16_t major = rd_le16(r);

	return HV_IC_VERSION(major, rd_le16(r));
}

static void version_put(struct wr *w, uint32_t v)
{
	wr_le16(w, HV_IC_MAJOR(v));
	wr_le16(w, HV_IC_MINOR(v));
}

int ic_hdr_get(struct ic_hdr *h, struct rd *r)
{
	uint32_t kind = rd_le32(r), pipe_len = rd_le32(r);
	size_t body_max;

	h->framework = version_get(r);
	h->type = rd_le16(r);
	h->version = version_get(r);
	h->body_len = rd_le16(r);
	h->status = rd_le32(r);
	h->xact = rd_u8(r);
	h->flags = rd_u8(r);
	rd_skip(r, 2);			/* reserved */
	if (r->bad || kind != HV_IC_PIPE_DATA || pipe_len < HV_IC_HDR)
		return -EBADMSG;

	body_max = pipe_len - HV_IC_HDR;
	if (body_max > r->left || h->body_len > body_max) {
		r->left = 0;
		return -EMSGSIZE;
	}
	r->left = h->body_len;		/* the ring pads packets to 8 bytes */
	return 0;
}

void ic_hdr_put(struct wr *w, const struct ic_hdr *h, uint32_t pipe_len)
{
	wr_le32(w, HV_IC_PIPE_DATA);
	wr_le32(w, pipe_len);
	version_put(w, h->framework);
	wr_le16(w, h->type);
	version_put(w, h->version);
	wr_le16(w, h->body_len);
	wr_le32(w, h->status);
	wr_u8(w, h->xact);
	wr_u8(w, h->flags);
	wr_le16(w, 0);
}

int ic_versions_get(struct ic_versions *v, struct rd *body)
{
	v->n_frameworks = rd_le16(body);
	v->n_versions = rd_le16(body);
	rd_skip(body, 4);
	if (!v->n_frameworks || v->n_frameworks > IC_MAX_VERSIONS ||
	    !v->n_versions || v->n_versions > IC_MAX_VERSIONS)
		return -EBADMSG;
	for (unsigned i = 0; i < v->n_frameworks; i++)
		v->frameworks[i] = version_get(body);
	for (unsigned i = 0; i < v->n_versions; i++)
		v->versions[i] = version_get(body);
	return body->bad ? -EBADMSG : 0;
}

uint32_t ic_version_choose(const uint32_t *own, unsigned n_own,
			   const uint32_t *list, unsigned n_list)
{
	for (unsigned i = 0; i < n_own; i++)
		for (unsigned k = 0; k < n_list; k++)
			if (own[i] == list[k])
				return own[i];
	return 0;
}

void ic_choice_put(struct wr *w, uint32_t framework, uint32_t version)
{
	bool chosen = framework && version;

	wr_le16(w, chosen);
	wr_le16(w, chosen);
	wr_le32(w, 0);
	version_put(w, chosen ? framework : 0);
	version_put(w, chosen ? version : 0);
}
