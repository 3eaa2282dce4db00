/* host/host_gpadl.c - collect page lists and map them. */
#include "host/host_gpadl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmbus/shm_mem.h"

static struct host_gpadl *find(struct host_gpadls *t, uint32_t handle)
{
	struct host_gpadl *g = t->first;

	while (g && g->handle != handle)
		g = g->next;
	return g;
}

struct host_gpadl *host_gpadl_find(struct host_gpadls *t, uint32_t relid,
				   uint32_t handle)
{
	struct host_gpadl *g = find(t, handle);

	return g && g->complete && !g->err && g->relid == relid ? g : NULL;
}

/* What its only use so far needs: one range of whole pages. */
static int check_range(const struct vmbus_msg *m)
{
	uint32_t len = m->gpadl_header.len;

	if (m->gpadl_header.ranges != 1 || m->gpadl_header.offset ||
	    !len || len % VMBUS_PAGE)
		return -EINVAL;
	if (len / VMBUS_PAGE * 8 + 8 != m->gpadl_header.range_len)
		return -EINVAL;
	return 0;
}

static void complete(struct host_gpadls *t, struct host_gpadl *g)
{
	if (!g->err)
		g->err = shm_mem_map(&g->mem, g->fd, g->pfns, g->n);
	g->complete = true;
	t->n_open--;
	free(g->pfns);
	g->pfns = NULL;
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
}

static int add_pfns(struct host_gpadls *t, struct host_gpadl *g,
		    const struct vmbus_pfns *pfns, struct host_gpadl **done)
{
	struct rd r = rd_of(pfns->le, (size_t)pfns->n * 8);

	if (pfns->n > g->want - g->n)
		return -EPROTO;
	for (unsigned i = 0; i < pfns->n; i++)
		g->pfns[g->n++] = rd_le64(&r);
	*done = NULL;
	if (g->n == g->want) {
		complete(t, g);
		*done = g;
	}
	return 0;
}

int host_gpadl_header(struct host_gpadls *t, const struct vmbus_msg *m,
		      int *fd, struct host_gpadl **g)
{
	/* Page numbers of all ranges, with further heads counted as some. */
	unsigned want = m->gpadl_header.range_len < 16 ? 0 :
			(m->gpadl_header.range_len - 8u) / 8;
	struct host_gpadl *new;

	if (!want || find(t, m->gpadl_header.gpadl) ||
	    t->n == HOST_GPADLS_MAX || t->n_open == HOST_GPADLS_OPEN_MAX)
		return -EPROTO;
	new = calloc(1, sizeof(*new));
	if (new)
		new->pfns = calloc(want, sizeof(*new->pfns));
	if (!new || !new->pfns) {
		free(new);
		return -EPROTO;
	}
	new->handle = m->gpadl_header.gpadl;
	new->relid = m->relid;
	new->want = want;
	new->len = (size_t)want * VMBUS_PAGE;
	new->refs = 1;
	new->fd = *fd;
	*fd = -1;
	new->err = check_range(m);
	if (new->fd < 0)
		new->err = -EBADF;
	new->next = t->first;
	t->first = new;
	t->n++;
	t->n_open++;
	return add_pfns(t, new, &m->gpadl_header.pfns, g);
}

int host_gpadl_body(struct host_gpadls *t, const struct vmbus_msg *m,
		    struct host_gpadl **g)
{
	struct host_gpadl *found = find(t, m->gpadl_body.gpadl);

	if (!found || found->complete || !m->gpadl_body.pfns.n)
		return -EPROTO;
	return add_pfns(t, found, &m->gpadl_body.pfns, g);
}

void host_gpadl_unref(struct host_gpadl *g)
{
	if (--g->refs)
		return;
	if (g->mem)
		munmap(g->mem, g->len);
	if (g->fd >= 0)
		close(g->fd);
	free(g->pfns);
	free(g);
}

void host_gpadl_remove(struct host_gpadls *t, struct host_gpadl *g)
{
	struct host_gpadl **at = &t->first;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	t->n--;
	if (!g->complete)
		t->n_open--;
	host_gpadl_unref(g);
}

void host_gpadl_remove_relid(struct host_gpadls *t, uint32_t relid)
{
	for (struct host_gpadl *g = t->first, *next; g; g = next) {
		next = g->next;
		if (g->relid == relid)
			host_gpadl_remove(t, g);
	}
}

void host_gpadl_remove_all(struct host_gpadls *t)
{
	while (t->first)
		host_gpadl_remove(t, t->first);
}
