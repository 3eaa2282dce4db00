/* vmbus/shm_mem.c - sealed guest memory and the host's view of it. */
#include "vmbus/shm_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
};

int shm_mem_new(struct shm_mem *m, size_t len)
{
	int fd = memfd_create("vmbus", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	*m = (struct shm_mem){ .mem = MAP_FAILED, .len = len, .fd = fd };
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) == 0 &&
	    fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		m->mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
			      fd, 0);
	if (m->mem != MAP_FAILED)
		return 0;
	err = -errno;
	shm_mem_free(m);
	return err;
}

void shm_mem_free(struct shm_mem *m)
{
	if (m->mem != MAP_FAILED)
		munmap(m->mem, m->len);
	if (m->fd >= 0)
		close(m->fd);
	m->mem = MAP_FAILED;
	m->fd = -1;
}

int shm_mem_check(int fd, uint64_t *pages)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	if (seals < 0)
		return -EINVAL;
	if ((seals & SEALS) != SEALS)
		return -EPERM;
	/* A huge page that is missing at fault time would be a SIGBUS. */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return -EINVAL;
	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return -EINVAL;
	*pages = (uint64_t)st.st_size / PAGE;
	return 0;
}

/* How many pages from pfns[at] on are neighbours. */
static unsigned run_length(const uint64_t *pfns, unsigned at, unsigned n)
{
	unsigned k = 1;

	while (at + k < n && pfns[at + k] == pfns[at] + k)
		k++;
	return k;
}

int shm_mem_map(void **mem, int fd, const uint64_t *pfns, unsigned n)
{
	size_t len = (size_t)n * PAGE;
	uint64_t pages;
	int err = shm_mem_check(fd, &pages);
	uint8_t *base;

	if (err < 0)
		return err;
	for (unsigned i = 0; i < n; i++)
		if (pfns[i] >= pages)
			return -ERANGE;
	base = mmap(NULL, len, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	for (unsigned i = 0, k; i < n; i += k) {
		k = run_length(pfns, i, n);
		if (mmap(base + (size_t)i * PAGE, (size_t)k * PAGE,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 (off_t)(pfns[i] * PAGE)) == MAP_FAILED) {
			err = -errno;
			munmap(base, len);
			return err;
		}
	}
	*mem = base;
	return 0;
}
