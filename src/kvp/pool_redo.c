/* kvp/pool_redo.c - write a change down before it is made; after a crash,
 * find out how far it got.
 *
 * A change goes: journal (header and images in one write where they fit), sync,
 * room in the pool file, images over the pool file, its size, sync, clear the
 * journal. Each step may be torn anywhere:
 *
 *   - in the journal: a checksum fails and the pool file is still untouched;
 *   - in the pool file: each of its bytes is then one of pre or of post (zero
 *     where there was none), so the change is finished by writing post;
 *   - in the clearing: the change was made; a checksum fails, or it is found
 *     finished and written once more to no effect.
 *
 * A process that is killed leaves the same states, and others, who know no
 * journal, may go on with such a file before anybody repairs it. They append
 * whole records, truncate, or write everything anew. Appending behind the
 * torn part is harmless: the room a growing change needs is taken in one step
 * before, so what others append stays aligned. Whatever else they do shows as
 * bytes that are neither pre nor post, and then the file is theirs.
 */
#include "kvp/pool_redo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/rd.h"
#include "base/wr.h"
#include "kvp/pool_io.h"

static const char redo_magic[8] = "HVREDO1";

enum {
	CRC_AT = POOL_REDO_HEADER - 4,
	FLAG_PENDING = 1,
	FLAG_SHIFT = 2,
	KEEP = POOL_REDO_KEEP,
};

#define SIZE_LIMIT	((uint64_t)1 << 40)	/* keeps all sums in range */

static uint32_t crc_add(uint32_t crc, const void *p, size_t len)
{
	return (uint32_t)crc32(crc, p, (uInt)len);
}

/* The header ------------------------------------------------------------- */

static void put_header(uint8_t h[POOL_REDO_HEADER], const struct redo *t)
{
	struct wr w = wr_of(h, CRC_AT);
	uint32_t flags = (t->pending ? FLAG_PENDING : 0u) |
			 (t->shift ? FLAG_SHIFT : 0u);

	wr_bytes(&w, redo_magic, sizeof(redo_magic));
	wr_le32(&w, flags);
	wr_le32(&w, t->body_crc);
	wr_le64(&w, t->epoch);
	wr_le64(&w, t->mtime_ns);
	wr_le64(&w, t->ino);
	wr_le64(&w, t->new_size);
	wr_le64(&w, t->old_size);
	wr_le64(&w, t->offset);
	wr_le64(&w, t->pre_len);
	wr_le64(&w, t->post_len);
	wr_zero(&w, w.left);

	w = wr_of(h + CRC_AT, 4);
	wr_le32(&w, crc_add(0, h, CRC_AT));
}

static bool get_header(struct redo *t, const uint8_t h[POOL_REDO_HEADER])
{
	struct rd r = rd_of(h + CRC_AT, 4);
	uint32_t flags;

	if (rd_le32(&r) != crc_add(0, h, CRC_AT) ||
	    memcmp(h, redo_magic, sizeof(redo_magic)))
		return false;

	r = rd_of(h + sizeof(redo_magic), CRC_AT - sizeof(redo_magic));
	flags = rd_le32(&r);
	t->pending = flags & FLAG_PENDING;
	t->shift = flags & FLAG_SHIFT;
	t->body_crc = rd_le32(&r);
	t->epoch = rd_le64(&r);
	t->mtime_ns = rd_le64(&r);
	t->ino = rd_le64(&r);
	t->new_size = rd_le64(&r);
	t->old_size = rd_le64(&r);
	t->offset = rd_le64(&r);
	t->pre_len = rd_le64(&r);
	t->post_len = rd_le64(&r);
	return true;
}

static uint64_t body_len(const struct redo *t)
{
	return t->pre_len + (t->shift ? 0 : t->post_len);
}

/* Could we have written this? */
static bool possible(const struct redo *t)
{
	if (t->new_size > SIZE_LIMIT || t->old_size > SIZE_LIMIT ||
	    t->offset > t->old_size || t->offset > t->new_size ||
	    t->pre_len > t->old_size - t->offset ||
	    t->post_len > t->new_size - t->offset ||
	    t->offset % KVP_RECORD_SIZE || t->post_len % KVP_RECORD_SIZE)
		return false;
	if (t->new_size == t->old_size && t->pre_len != t->post_len)
		return false;
	if (t->new_size != t->old_size &&
	    (t->offset + t->pre_len != t->old_size ||
	     t->offset + t->post_len != t->new_size))
		return false;
	return !t->shift || t->pre_len >= t->post_len + KVP_RECORD_SIZE;
}

int redo_load(int fd, struct redo *t)
{
	uint8_t h[POOL_REDO_HEADER];
	ssize_t n = pool_pread(fd, h, sizeof(h), 0);
	struct stat st;

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)sizeof(h) || !get_header(t, h))
		return 0;
	if (!t->pending)
		return 1;
	if (!possible(t))
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	return (uint64_t)st.st_size >= POOL_REDO_HEADER + body_len(t);
}

int redo_body_ok(int fd, const struct redo *t)
{
	uint64_t len = body_len(t), at = 0;
	uint8_t buf[POOL_CHUNK];
	uint32_t crc = 0;

	while (at < len) {
		size_t want = (size_t)pool_min(sizeof(buf), len - at);
		ssize_t n = pool_pread(fd, buf, want, POOL_REDO_HEADER + at);

		if (n < (ssize_t)want)
			return n < 0 ? (int)n : 0;
		crc = crc_add(crc, buf, want);
		at += want;
	}
	return crc == t->body_crc;
}

/* Writing ---------------------------------------------------------------- */

/* Collects what goes into the journal, so that a change of one record is one
 * write with its header in front. */
struct out {
	int fd;
	uint64_t at;		/* where buf's body goes in the journal */
	size_t len;
	uint32_t crc;
	uint8_t buf[POOL_REDO_HEADER + POOL_CHUNK];
};

static int out_flush(struct out *o)
{
	int r = pool_pwrite(o->fd, o->buf + POOL_REDO_HEADER, o->len, o->at);

	o->at += o->len;
	o->len = 0;
	return r;
}

/* Room for len bytes, at most a record's, at *p; the caller fills it. */
static int out_room(struct out *o, size_t len, uint8_t **p)
{
	int r = 0;

	if (o->len + len > POOL_CHUNK)
		r = out_flush(o);
	*p = o->buf + POOL_REDO_HEADER + o->len;
	o->len += len;
	return r;
}

static int store_pre(struct out *o, const struct redo *t, int pool_fd)
{
	for (uint64_t at = 0; at < t->pre_len;) {
		size_t want = (size_t)pool_min(KVP_RECORD_SIZE,
					       t->pre_len - at);
		uint8_t *p;
		int r = out_room(o, want, &p);
		ssize_t n;

		if (r < 0)
			return r;
		n = pool_pread(pool_fd, p, want, t->offset + at);
		if (n < (ssize_t)want)
			return n < 0 ? (int)n : -EBUSY;
		o->crc = crc_add(o->crc, p, want);
		at += want;
	}
	return 0;
}

static int store_post(struct out *o, const struct redo *t, redo_post_fn post,
		      void *arg)
{
	uint32_t first = (uint32_t)(t->offset / KVP_RECORD_SIZE);
	uint32_t count = (uint32_t)(t->post_len / KVP_RECORD_SIZE);

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *p;
		int r = out_room(o, KVP_RECORD_SIZE, &p);

		if (r == 0)
			r = post(arg, first + i, p);
		if (r < 0)
			return r;
		o->crc = crc_add(o->crc, p, KVP_RECORD_SIZE);
	}
	return 0;
}

static int store_header(struct out *o, const struct redo *t)
{
	int r;

	put_header(o->buf, t);
	if (o->at == POOL_REDO_HEADER)
		return pool_pwrite(o->fd, o->buf, POOL_REDO_HEADER + o->len, 0);
	r = out_flush(o);
	return r < 0 ? r : pool_pwrite(o->fd, o->buf, POOL_REDO_HEADER, 0);
}

int redo_store(int fd, struct redo *t, int pool_fd, redo_post_fn post,
	       void *arg)
{
	struct out o;
	int r;

	o.fd = fd;
	o.at = POOL_REDO_HEADER;
	o.len = 0;
	o.crc = 0;
	r = store_pre(&o, t, pool_fd);
	if (r == 0 && !t->shift)
		r = store_post(&o, t, post, arg);
	if (r < 0)
		return r;
	t->pending = true;
	t->body_crc = o.crc;
	return store_header(&o, t);
}

int redo_clear(int fd, const struct redo *t)
{
	struct redo idle = { .epoch = t->epoch, .mtime_ns = t->mtime_ns,
			     .new_size = t->new_size, .ino = t->ino };
	uint8_t buf[KEEP] = { 0 };
	size_t len = (size_t)pool_min(KEEP, POOL_REDO_HEADER + body_len(t));
	int r;

	put_header(buf, &idle);
	r = pool_pwrite(fd, buf, len, 0);
	if (r == 0 && body_len(t) > KEEP - POOL_REDO_HEADER &&
	    ftruncate(fd, KEEP) < 0)
		r = -errno;
	return r;
}

/* After a crash ---------------------------------------------------------- */

struct scan {
	bool other;		/* a byte that is neither pre nor post */
	bool all_pre, all_post;
	bool cut;		/* all are pre or zero: perhaps half cut off */
};

/* An image's byte i is at buf[i - at], or pad when the image is shorter. */
static int load_image(int fd, const struct redo *t, bool post, uint8_t *buf,
		      size_t len, uint64_t at)
{
	uint64_t image_len = post ? t->post_len : t->pre_len;
	size_t have = at < image_len ?
		      (size_t)pool_min(len, image_len - at) : 0;
	ssize_t n = pool_pread(fd, buf, have, redo_image_at(t, post) + at);

	if (n < (ssize_t)have)
		return n < 0 ? (int)n : -EIO;
	memset(buf + have, 0, len - have);
	return 0;
}

static void scan_bytes(struct scan *s, const struct redo *t, uint64_t at,
		       const uint8_t *now, const uint8_t *pre,
		       const uint8_t *post, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool is_pre = now[i] == pre[i];
		bool is_post = now[i] == post[i] && at + i < t->post_len;

		s->all_pre &= is_pre;
		s->all_post &= is_post;
		s->cut &= is_pre || !now[i];
		s->other |= !is_pre && !is_post;
	}
}

/* Bytes [from, to) of the change's region: whose are they? Where there was
 * nothing before, zero counts as pre. File systems zero the rest of a block
 * when they cut a file, and that may reach the disk before the new size. */
static int scan(struct scan *s, int fd, const struct redo *t, int pool_fd,
		uint64_t from, uint64_t to)
{
	uint8_t now[POOL_CHUNK], pre[POOL_CHUNK], post[POOL_CHUNK];

	*s = (struct scan){ .all_pre = true, .all_post = true, .cut = true };
	for (uint64_t at = from; at < to && (!s->other || s->cut);) {
		size_t len = (size_t)pool_min(sizeof(now), to - at);
		ssize_t n = pool_pread(pool_fd, now, len, t->offset + at);
		int r;

		if (n < 0)
			return (int)n;
		if ((r = load_image(fd, t, false, pre, len, at)) < 0 ||
		    (r = load_image(fd, t, true, post, len, at)) < 0)
			return r;
		if (n < (ssize_t)len)		/* truncated under our eyes */
			s->other = true;
		scan_bytes(s, t, at, now, pre, post, (size_t)n);
		at += len;
	}
	return 0;
}

static int judge_growing(int fd, const struct redo *t, int pool_fd,
			 uint64_t size, enum redo_verdict *v,
			 uint64_t *size_after)
{
	struct scan head, tail;
	int r;

	*v = REDO_LEAVE;
	*size_after = size;
	if (size < t->old_size)
		return 0;
	if ((r = scan(&head, fd, t, pool_fd, 0, t->pre_len)) < 0 || head.other)
		return r;
	r = scan(&tail, fd, t, pool_fd, t->pre_len,
		 pool_min(size - t->offset, t->post_len));
	if (r < 0)
		return r;
	*v = tail.other ? REDO_BACK : REDO_FORWARD;
	if (*v == REDO_FORWARD)
		*size_after = pool_max(size, t->new_size);
	return 0;
}

static int judge_shrinking(int fd, const struct redo *t, int pool_fd,
			   uint64_t size, enum redo_verdict *v,
			   uint64_t *size_after)
{
	struct scan head, tail;
	int r;

	*v = REDO_LEAVE;
	*size_after = size;
	if (size < t->new_size)
		return 0;
	if ((r = scan(&head, fd, t, pool_fd, 0, t->post_len)) < 0 || head.other)
		return r;
	r = scan(&tail, fd, t, pool_fd, t->post_len,
		 pool_min(size, t->old_size) - t->offset);
	if (r < 0)
		return r;

	*v = REDO_FORWARD;
	if (size == t->old_size && tail.cut)
		*size_after = t->new_size;
	else if (size > t->old_size && tail.cut)
		*v = REDO_BACK;		/* others appended before the cut */
	else if (size > t->new_size && head.all_pre && !head.all_post)
		*v = REDO_BACK;		/* never begun; the end is theirs */
	return 0;
}

int redo_judge(int fd, const struct redo *t, int pool_fd, uint64_t size,
	       enum redo_verdict *v, uint64_t *size_after)
{
	if (t->new_size >= t->old_size)
		return judge_growing(fd, t, pool_fd, size, v, size_after);
	return judge_shrinking(fd, t, pool_fd, size, v, size_after);
}

/* Making the change ------------------------------------------------------ */

/* One step, and the file system's room with it where it can do that: a full
 * disk is found out before anything is written. */
static int extend(int fd, uint64_t size, uint64_t size_after)
{
	if (fallocate(fd, 0, (off_t)size, (off_t)(size_after - size)) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	return ftruncate(fd, (off_t)size_after) < 0 ? -errno : 0;
}

static int copy_image(int fd, const struct redo *t, int pool_fd, bool post)
{
	uint64_t len = post ? t->post_len : t->pre_len;
	uint8_t buf[POOL_CHUNK];

	for (uint64_t at = 0; at < len;) {
		size_t n = (size_t)pool_min(sizeof(buf), len - at);
		int r = load_image(fd, t, post, buf, n, at);

		if (r == 0)
			r = pool_pwrite(pool_fd, buf, n, t->offset + at);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

int redo_apply(int fd, const struct redo *t, int pool_fd, bool back,
	       uint64_t size, uint64_t size_after)
{
	int r = 0;

	if (size < size_after)
		r = extend(pool_fd, size, size_after);
	if (r == 0)
		r = copy_image(fd, t, pool_fd, !back);
	if (r == 0 && size > size_after &&
	    ftruncate(pool_fd, (off_t)size_after) < 0)
		r = -errno;
	return r;
}
