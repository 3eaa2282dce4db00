/* kvp/kvp_devmsg.c - the device message's fields, one function a direction.
 * No state, no socket, no log.
 *
 * Sizes. A request says how long its key and value are, NUL included. Drivers
 * get these numbers wrong: FreeBSD's converts twice the length and halves the
 * result, which is right for ASCII alone, and Linux leaves the value's size of
 * a GET at 0. So a size is a check and not a measure: one beyond its field is
 * refused, 0 means no text, and otherwise the text is what stands before its
 * first NUL. That also means that no size makes a key match a longer one that
 * begins like it. In answers sizes mean nothing: Linux' driver looks at the
 * text alone, and its daemon sends an ENUMERATE's sizes back as they came, 0.
 */
#include "kvp/kvp_devmsg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/rd.h"
#include "base/utf16.h"
#include "base/wr.h"
#include "ic/hv_utilreg.h"

enum { HEADER = 4 };		/* operation, pool, pad; or the status */

size_t kvp_devmsg_size(enum kvp_form form)
{
	return form == KVP_FORM_LINUX ? KVP_DEVMSG_LINUX : KVP_DEVMSG_FREEBSD;
}

/* Text fields ------------------------------------------------------------ */

/* A field of n bytes into dst, which is as long. 0 or -EBADMSG. */
static int get_text(char *dst, size_t n, struct rd *r)
{
	const uint8_t *p = rd_bytes(r, n);
	size_t len;

	dst[0] = '\0';
	if (!p)
		return -EBADMSG;
	len = strnlen((const char *)p, n);
	if (len == n || !utf8_valid((const char *)p, len))
		return -EBADMSG;
	memcpy(dst, p, len + 1);
	return 0;
}

static int get_sized(char *dst, size_t n, uint32_t size, struct rd *r)
{
	if (size > n)
		return -EBADMSG;
	if (get_text(dst, n, r) < 0)
		return -EBADMSG;
	if (!size)
		memset(dst, 0, n);
	return 0;
}

static void put_text(struct wr *w, const char *text, size_t n)
{
	size_t len = strnlen(text, n - 1);

	wr_bytes(w, text, len);
	wr_zero(w, n - len);
}

static uint32_t size_of(const char *text)
{
	return (uint32_t)strlen(text) + 1;
}

/* Bodies ----------------------------------------------------------------- */

/* u32 type, u32 key size, u32 value size, key, value: 2572 bytes. */
static int get_record(struct kvp_msg *m, struct rd *r, bool with_value)
{
	uint32_t key_size, value_size;

	rd_skip(r, 4);
	key_size = rd_le32(r);
	value_size = rd_le32(r);
	if (get_sized(m->key, sizeof(m->key), key_size, r) < 0)
		return -EBADMSG;
	if (!with_value)
		return 0;
	return get_sized(m->value, sizeof(m->value), value_size, r);
}

/* The same in an answer: the sizes are whatever the request had. */
static int get_answer_record(struct kvp_msg *m, struct rd *r)
{
	rd_skip(r, 12);
	if (get_text(m->key, sizeof(m->key), r) < 0)
		return -EBADMSG;
	return get_text(m->value, sizeof(m->value), r);
}

static void put_record(struct wr *w, const struct kvp_msg *m,
		       uint32_t value_size)
{
	wr_le32(w, KVP_TYPE_STRING);
	wr_le32(w, size_of(m->key));
	wr_le32(w, value_size);
	put_text(w, m->key, sizeof(m->key));
	put_text(w, m->value, sizeof(m->value));
}

static int get_delete(struct kvp_msg *m, struct rd *r)
{
	uint32_t key_size = rd_le32(r);

	return get_sized(m->key, sizeof(m->key), key_size, r);
}

static int get_ip(struct kvp_ip *ip, struct rd *r)
{
	int err = get_text(ip->adapter_id, sizeof(ip->adapter_id), r);

	ip->family = rd_u8(r);
	ip->dhcp = rd_u8(r) != 0;
	err |= get_text(ip->addrs, sizeof(ip->addrs), r);
	err |= get_text(ip->masks, sizeof(ip->masks), r);
	err |= get_text(ip->gateways, sizeof(ip->gateways), r);
	err |= get_text(ip->dns, sizeof(ip->dns), r);
	return err || r->bad ? -EBADMSG : 0;
}

static void put_ip(struct wr *w, const struct kvp_ip *ip)
{
	put_text(w, ip->adapter_id, sizeof(ip->adapter_id));
	wr_u8(w, ip->family);
	wr_u8(w, ip->dhcp);
	put_text(w, ip->addrs, sizeof(ip->addrs));
	put_text(w, ip->masks, sizeof(ip->masks));
	put_text(w, ip->gateways, sizeof(ip->gateways));
	put_text(w, ip->dns, sizeof(ip->dns));
}

/* Leave nothing of a body that was refused half way. */
static void clear_body(struct kvp_msg *m)
{
	_Static_assert(sizeof(m->ip) >= sizeof(m->key) + sizeof(m->value),
		       "the IP body covers the other one");
	memset(&m->ip, 0, sizeof(m->ip));
}

static void put_header(struct wr *w, uint8_t op, uint8_t pool)
{
	wr_u8(w, op);
	wr_u8(w, pool);
	wr_zero(w, 2);
}

/* The driver's side ------------------------------------------------------ */

int kvp_devmsg_get_register(enum kvp_form *form, uint8_t *op,
			    const void *buf, size_t len)
{
	struct rd r = rd_of(buf, len);

	*op = rd_u8(&r);
	if (len >= KVP_DEVMSG_LINUX)
		*form = KVP_FORM_LINUX;
	else if (len == KVP_DEVMSG_FREEBSD)
		*form = KVP_FORM_FREEBSD;
	else
		return -EINVAL;
	if (*op == KVP_OP_REGISTER)
		return 0;
	if (*op == KVP_OP_REGISTER1 && *form == KVP_FORM_LINUX)
		return 0;
	return -EINVAL;
}

void kvp_devmsg_put_version(uint8_t buf[KVP_DEVMSG_LINUX], uint8_t op,
			    const char *version)
{
	struct wr w = wr_of(buf, KVP_DEVMSG_LINUX);

	put_header(&w, op, 0);
	put_text(&w, version, KVP_VERSION_SIZE);
	wr_zero(&w, w.left);
	assert(!w.bad);
}

void kvp_devmsg_put_request(uint8_t buf[KVP_DEVMSG_MAX], enum kvp_form form,
			    const struct kvp_msg *m)
{
	struct wr w = wr_of(buf, kvp_devmsg_size(form));

	put_header(&w, m->op, m->pool);
	switch (m->op) {
	case KVP_GET:
		/* Upstream's daemon copies as much of the value as the request
		 * has room for; a driver that says 0 gets nothing. */
		wr_le32(&w, KVP_TYPE_STRING);
		wr_le32(&w, size_of(m->key));
		wr_le32(&w, KVP_VALUE_SIZE);
		put_text(&w, m->key, sizeof(m->key));
		break;
	case KVP_SET:
		put_record(&w, m, size_of(m->value));
		break;
	case KVP_DELETE:
		wr_le32(&w, size_of(m->key));
		put_text(&w, m->key, sizeof(m->key));
		break;
	case KVP_ENUMERATE:
		wr_le32(&w, m->index);
		break;
	case KVP_GET_IP_INFO:
	case KVP_SET_IP_INFO:
		put_ip(&w, &m->ip);
		break;
	}
	wr_zero(&w, w.left);
	assert(!w.bad);
}

/* A legacy daemon's header says nothing and its errors are an empty key. */
static uint32_t legacy_status(uint8_t op, const uint8_t *enum_key)
{
	switch (op) {
	case KVP_ENUMERATE:
		return enum_key[0] ? HV_S_OK : HV_S_CONT;
	case KVP_GET_IP_INFO:
	case KVP_SET_IP_INFO:
		return HV_ERROR_NOT_SUPPORTED;
	default:
		return HV_S_OK;
	}
}

int kvp_devmsg_get_answer(struct kvp_msg *answer, enum kvp_form form,
			  bool legacy, const struct kvp_msg *request,
			  const void *buf, size_t len)
{
	struct rd r = rd_of(buf, len);
	int err = 0;

	memset(answer, 0, sizeof(*answer));
	answer->op = request->op;
	answer->pool = request->pool;
	answer->index = request->index;
	answer->status = HV_E_FAIL;
	if (len < kvp_devmsg_size(form))
		return -EBADMSG;
	r.left = kvp_devmsg_size(form);
	answer->status = rd_le32(&r);
	if (legacy && form == KVP_FORM_LINUX)
		answer->status = legacy_status(request->op, r.p + 16);
	if (answer->status != HV_S_OK)
		return 0;

	switch (request->op) {
	case KVP_GET:
		err = get_answer_record(answer, &r);
		break;
	case KVP_ENUMERATE:
		rd_skip(&r, 4);
		err = get_answer_record(answer, &r);
		break;
	case KVP_GET_IP_INFO:
		err = get_ip(&answer->ip, &r);
		break;
	}
	if (err < 0) {
		clear_body(answer);
		answer->status = HV_E_FAIL;
	}
	return err;
}

/* The daemon's side ------------------------------------------------------ */

void kvp_devmsg_put_register(uint8_t buf[KVP_DEVMSG_MAX], enum kvp_form form)
{
	memset(buf, 0, kvp_devmsg_size(form));
	buf[0] = form == KVP_FORM_LINUX ? KVP_OP_REGISTER1 : KVP_OP_REGISTER;
}

int kvp_devmsg_get_version(char version[KVP_VERSION_SIZE], const void *buf,
			   size_t len)
{
	struct rd r = rd_of(buf, len);
	uint8_t op = rd_u8(&r);

	version[0] = '\0';
	if (len != KVP_DEVMSG_LINUX ||
	    (op != KVP_OP_REGISTER && op != KVP_OP_REGISTER1))
		return -EBADMSG;
	rd_skip(&r, HEADER - 1);
	return get_text(version, KVP_VERSION_SIZE, &r);
}

int kvp_devmsg_get_request(struct kvp_msg *m, enum kvp_form form,
			   const void *buf, size_t len)
{
	struct rd r = rd_of(buf, len);
	int err = 0;

	memset(m, 0, sizeof(*m));
	m->op = rd_u8(&r);
	m->pool = rd_u8(&r);
	rd_skip(&r, 2);
	if (m->op == KVP_ENUMERATE)
		m->index = rd_le32(&r);
	if (len != kvp_devmsg_size(form))
		return -EBADMSG;

	switch (m->op) {
	case KVP_GET:
		err = get_record(m, &r, false);
		break;
	case KVP_SET:
		err = get_record(m, &r, true);
		break;
	case KVP_DELETE:
		err = get_delete(m, &r);
		break;
	case KVP_GET_IP_INFO:
	case KVP_SET_IP_INFO:
		err = get_ip(&m->ip, &r);
		break;
	}
	if (err < 0)
		clear_body(m);
	return err;
}

void kvp_devmsg_put_answer(uint8_t buf[KVP_DEVMSG_MAX], enum kvp_form form,
			   const struct kvp_msg *m)
{
	struct wr w = wr_of(buf, kvp_devmsg_size(form));

	wr_le32(&w, m->status);
	if (m->status == HV_S_OK) {
		switch (m->op) {
		case KVP_ENUMERATE:
			wr_le32(&w, m->index);
			put_record(&w, m, size_of(m->value));
			break;
		case KVP_GET:
			put_record(&w, m, size_of(m->value));
			break;
		case KVP_GET_IP_INFO:
			put_ip(&w, &m->ip);
			break;
		}
	}
	wr_zero(&w, w.left);
	assert(!w.bad);
}
