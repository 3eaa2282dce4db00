/* host/host_trace.c - writing, reading and printing traces. Each line is
 * flushed when written: the trace of a crash is the one that is wanted. */
#include "host/host_trace.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "host/host_ic_wire.h"
#include "host/host_kvp_wire.h"
#include "host/host_vss_wire.h"

enum { TRACE_VERSION = 1, TRACE_DATA_MAX = 65536 };

struct host_trace {
	FILE *file;
	struct loop *loop;
	uint64_t start_ms;
	int err;
};

/* Writing ---------------------------------------------------------------- */

static void put_line(struct host_trace *t, json_t *line)
{
	if (!line || json_dumpf(line, t->file, JSON_COMPACT) < 0 ||
	    fputc('\n', t->file) == EOF || fflush(t->file) == EOF)
		t->err = errno ? -errno : -EIO;
	json_decref(line);
}

static json_int_t now(const struct host_trace *t)
{
	return (json_int_t)(loop_now_ms(t->loop) - t->start_ms);
}

struct host_trace *host_trace_create(struct loop *l, const char *path,
				     const char *profile)
{
	struct host_trace *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->loop = l;
	t->start_ms = loop_now_ms(l);
	t->file = fopen(path, "we");
	if (!t->file) {
		free(t);
		return NULL;
	}
	put_line(t, json_pack("{s:s, s:i, s:s}", "trace", "hyperv-ic",
			      "version", TRACE_VERSION, "profile", profile));
	return t;
}

int host_trace_close(struct host_trace *t)
{
	int err;

	if (!t)
		return 0;
	err = t->err;
	if (fclose(t->file) == EOF && err == 0)
		err = -errno;
	free(t);
	return err;
}

static char *to_hex(const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char *hex = malloc(2 * n + 1);

	if (!hex)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[p[i] >> 4];
		hex[2 * i + 1] = digits[p[i] & 15];
	}
	hex[2 * n] = '\0';
	return hex;
}

void host_trace_packet(struct host_trace *t, const char *ch, bool to_guest,
		       const struct packet *p)
{
	size_t n = p->len;
	char *hex;

	if (!t)
		return;
	while (n && !p->data[n - 1])
		n--;
	hex = to_hex(p->data, n);
	put_line(t, json_pack("{s:I, s:s, s:s, s:i, s:i, s:I, s:I, s:s}",
			      "t_ms", now(t),
			      "ch", ch, "dir", to_guest ? "h2g" : "g2h",
			      "type", p->type, "flags", p->flags,
			      "xact", (json_int_t)p->xact,
			      "len", (json_int_t)p->len,
			      "hex", hex ? hex : ""));
	free(hex);
}

void host_trace_event(struct host_trace *t, const char *ch, const char *event)
{
	if (!t)
		return;
	put_line(t, json_pack("{s:I, s:s*, s:s}", "t_ms",
			      now(t), "ch", ch, "event", event));
}

/* Reading ---------------------------------------------------------------- */

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *read_data(struct host_trace_line *l, json_t *j)
{
	const char *hex = json_string_value(json_object_get(j, "hex"));
	json_int_t len = json_integer_value(json_object_get(j, "len"));
	size_t n = hex ? strlen(hex) : 1;

	if (n % 2 || len < 0 || len > TRACE_DATA_MAX || n / 2 > (size_t)len)
		return "hex or len is wrong";
	l->len = (size_t)len;
	l->data = calloc(1, l->len + 1);
	if (!l->data)
		return "no memory";
	for (size_t i = 0; i < n / 2; i++) {
		int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return "hex is not hexadecimal";
		l->data[i] = (uint8_t)(hi << 4 | lo);
	}
	return NULL;
}

static const char *read_line(struct host_trace_line *l, json_t *j)
{
	const char *ch = "", *event = "", *dir = "";
	json_int_t t_ms = 0, type = 0, flags = 0, xact = 0;

	if (json_unpack(j, "{s:I, s?s, s?s, s?s, s?I, s?I, s?I}", "t_ms", &t_ms,
			"ch", &ch, "event", &event, "dir", &dir,
			"type", &type, "flags", &flags, "xact", &xact) < 0)
		return "not an object of a trace";
	l->t_ms = (uint64_t)t_ms;
	snprintf(l->ch, sizeof(l->ch), "%s", ch);
	snprintf(l->event, sizeof(l->event), "%s", event);
	if (event[0])
		return NULL;
	if (strcmp(dir, "h2g") != 0 && strcmp(dir, "g2h") != 0)
		return "neither an event nor a packet with a dir";
	l->to_guest = dir[0] == 'h';
	l->type = (uint16_t)type;
	l->flags = (uint16_t)flags;
	l->xact = (uint64_t)xact;
	return read_data(l, j);
}

static const char *read_first(struct host_trace_file *f, json_t *j)
{
	const char *kind = "", *profile = "?";
	int version = 0;

	if (json_unpack(j, "{s:s, s:i, s?s}", "trace", &kind, "version",
			&version, "profile", &profile) < 0 ||
	    strcmp(kind, "hyperv-ic") != 0)
		return "not a trace";
	if (version != TRACE_VERSION)
		return "a trace of another version";
	snprintf(f->profile, sizeof(f->profile), "%s", profile);
	return NULL;
}

static const char *add_line(struct host_trace_file *f, unsigned number,
			    json_t *j)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 64;
		struct host_trace_line *l = reallocarray(f->lines, cap,
							 sizeof(*l));

		if (!l)
			return "no memory";
		f->lines = l;
		f->cap = cap;
	}
	f->lines[f->n] = (struct host_trace_line){ .number = number };
	return read_line(&f->lines[f->n++], j);
}

int host_trace_read(struct host_trace_file *f, const char *path, char *err,
		    size_t err_len)
{
	FILE *file = fopen(path, "re");
	const char *why = NULL;
	unsigned number = 0;
	char *line = NULL;
	size_t cap = 0;

	*f = (struct host_trace_file){ 0 };
	if (!file) {
		int e = errno;

		snprintf(err, err_len, "%s: %s", path, strerror(e));
		return -e;
	}
	while (!why && getline(&line, &cap, file) > 0) {
		json_t *j = json_loads(line, 0, NULL);

		number++;
		why = number == 1 ? read_first(f, j) : add_line(f, number, j);
		json_decref(j);
	}
	if (!why && number == 0)
		why = "not a trace";
	free(line);
	fclose(file);
	if (!why)
		return 0;
	snprintf(err, err_len, "%s:%u: %s", path, number, why);
	host_trace_free(f);
	return -EINVAL;
}

void host_trace_free(struct host_trace_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->lines[i].data);
	free(f->lines);
	*f = (struct host_trace_file){ 0 };
}

/* Printing --------------------------------------------------------------- */

/* Foreign text: control characters would drive the terminal. */
static void print_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void print_versions(FILE *out, const struct host_ic_msg *m)
{
	struct rd r = rd_of(m->body, m->body_len);
	unsigned n_framework = rd_le16(&r), n_message = rd_le16(&r);

	rd_skip(&r, 4);
	fprintf(out, "NEGOTIATE framework");
	for (unsigned i = 0; i < n_framework + n_message && !r.bad; i++) {
		unsigned major = rd_le16(&r), minor = rd_le16(&r);

		if (i == n_framework)
			fprintf(out, ", message");
		if (r.bad)
			fprintf(out, " (the list ends early)");
		else
			fprintf(out, " %u.%u", major, minor);
	}
	if (!n_framework || !n_message)
		fprintf(out, " nothing suitable (counts %u, %u)", n_framework,
			n_message);
}

static void print_item(FILE *out, const struct host_kvp_msg *m, bool to_guest)
{
	if (to_guest || m->op == KVP_ENUMERATE) {
		fputc(' ', out);
		print_text(out, m->item.key);
	}
	if (to_guest ? m->op != KVP_SET : m->op == KVP_SET)
		return;
	fprintf(out, " = ");
	print_text(out, m->item.value);
	fprintf(out, " (%s)", host_kvp_type_name(m->item.type));
}

static void print_ip(FILE *out, const struct host_kvp_msg *m, bool to_guest)
{
	const struct host_kvp_ip *ip = &m->ip;

	if (to_guest) {
		fputc(' ', out);
		print_text(out, ip->adapter);
		if (m->op == KVP_GET_IP_INFO)
			return;
	}
	fprintf(out, " family %u%s addresses ", ip->family,
		ip->dhcp ? " dhcp" : "");
	print_text(out, ip->addrs);
	fprintf(out, " gateways ");
	print_text(out, ip->gateways);
	fprintf(out, " dns ");
	print_text(out, ip->dns);
}

/* Only GET, ENUMERATE and GET_IP_INFO have an answer beside the status. */
static bool has_content(const struct host_ic_msg *ic, uint8_t op, bool to_guest)
{
	return op < KVP_N_OPS &&
		(to_guest ? op != KVP_ENUMERATE : (ic->status == HV_S_OK && op != KVP_SET &&
			      op != KVP_DELETE && op != KVP_SET_IP_INFO));
}

static void print_kvp(FILE *out, const struct host_ic_msg *ic,
		      const struct host_ic_msg *asked, bool to_guest)
{
	struct host_kvp_msg m = { 0 };
	struct rd r = rd_of(asked->body, asked->body_len);
	const char *why = "";

	m.op = rd_u8(&r);
	m.pool = rd_u8(&r);
	fprintf(out, "%s", kvp_op_name(m.op));
	if (m.op <= KVP_ENUMERATE)
		fprintf(out, " pool %u", m.pool);
	rd_skip(&r, 2);
	if (m.op == KVP_ENUMERATE)
		fprintf(out, " index %u", rd_le32(&r));
	if (!to_guest)
		fprintf(out, ": %s", host_status_name(ic->status));
	if (!has_content(ic, m.op, to_guest))
		return;
	if (host_kvp_peek(&m, ic->body, ic->body_len, ic->version, &why) < 0)
		fprintf(out, " (%s)", why);
	else if (m.op <= KVP_ENUMERATE)
		print_item(out, &m, to_guest);
	else
		print_ip(out, &m, to_guest);
}

static void print_vss_request(FILE *out, const struct host_ic_msg *ic)
{
	struct host_vss_msg m;
	char set[GUID_TEXT];
	const char *why = "";

	if (host_vss_peek(&m, ic->body, ic->body_len, &why) < 0)
		fprintf(out, "%s (%s)", host_vss_op_name(m.op), why);
	else if (m.op == VSS_FREEZE || m.op == VSS_AUTO_RECOVER)
		fprintf(out, "%s type %u flags 0x%x, %u LUNs",
			host_vss_op_name(m.op), m.backup_type, m.flags,
			m.n_luns);
	else if (m.op == VSS_CREATE || m.op == VSS_DELETE)
		fprintf(out, "%s %s", host_vss_op_name(m.op),
			guid_text(set, &m.set));
	else if (m.op < VSS_N_OPS)
		fprintf(out, "%s", host_vss_op_name(m.op));
	else
		fprintf(out, "operation %u", m.op);
}

static void print_vss_answer(FILE *out, const struct host_ic_msg *ic,
			     const struct host_ic_msg *asked)
{
	struct rd r = rd_of(asked->body, asked->body_len);
	struct host_vss_msg m = { .op = rd_u8(&r) };
	const char *why = "";

	fprintf(out, "%s: %s", host_vss_op_name(m.op),
		host_status_name(ic->status));
	if (ic->status != HV_S_OK)
		return;
	if (host_vss_get(&m, ic->body, ic->body_len, false, &why) < 0)
		fprintf(out, " (%s)", why);
	else if (m.op == VSS_HOT_BACKUP || m.op == VSS_GET_DM_INFO)
		fprintf(out, " flags 0x%x", m.flags);
}

static void print_ic(FILE *out, const struct host_trace_line *l,
		     const struct host_trace_line *request)
{
	struct host_ic_msg m, asked;
	const char *why = "";

	if (host_ic_get(&m, l->data, l->len, &why) < 0) {
		fprintf(out, "%zu bytes: %s", l->len, why);
		return;
	}
	if (!l->to_guest && request &&
	    host_ic_get(&asked, request->data, request->len, &why) < 0)
		request = NULL;
	if (l->to_guest || !request)
		asked = m;
	if (m.type == HV_IC_NEGOTIATE)
		print_versions(out, &m);
	else if (m.type == HV_IC_KVP)
		print_kvp(out, &m, &asked, l->to_guest);
	else if (m.type == HV_IC_VSS && l->to_guest)
		print_vss_request(out, &m);
	else if (m.type == HV_IC_VSS)
		print_vss_answer(out, &m, &asked);
	else
		fprintf(out, "type %u status %s", m.type,
			host_status_name(m.status));
	fprintf(out, " [xact %u flags %u, %u bytes]", m.xact, m.flags,
		m.body_len);
}

void host_trace_print(FILE *out, const struct host_trace_line *l,
		      const struct host_trace_line *request)
{
	fprintf(out, "%8llu.%03llu  %-5s ",
		(unsigned long long)l->t_ms / 1000,
		(unsigned long long)l->t_ms % 1000, l->ch[0] ? l->ch : "-");
	if (l->event[0]) {
		fprintf(out, "--  ");
		print_text(out, l->event);
	} else {
		fprintf(out, "%s  ", l->to_guest ? "->" : "<-");
		if (l->type == PACKET_INBAND)
			print_ic(out, l, request);
		else
			fprintf(out, "packet of type %u, %zu bytes", l->type,
				l->len);
	}
	fputc('\n', out);
}
