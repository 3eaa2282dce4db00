/* vmbus/shm_mem.h - guest memory that a host maps: a memfd sealed against
 * changes of size, so that neither side can pull pages from under the other.
 */
#ifndef VMBUS_SHM_MEM_H
#define VMBUS_SHM_MEM_H

#include <stddef.h>
#include <stdint.h>

struct shm_mem {
	void *mem;
	size_t len;		/* bytes, a multiple of 4096 */
	int fd;			/* -1 when closed */
};

/* The guest's side: zeroed memory of its own. 0 or -errno. */
int shm_mem_new(struct shm_mem *m, size_t len);
void shm_mem_free(struct shm_mem *m);

/* The host's side: may the pages of fd be mapped and trusted to stay? Wants a
 * memfd of at most 4 KiB pages, writable, sealed with F_SEAL_SHRINK, _GROW and
 * _SEAL. 0 and *pages; -EPERM not sealed; -EINVAL no such memory. */
int shm_mem_check(int fd, uint64_t *pages);
/* Map pages pfns[0..n) of fd, which was checked, in that order. 0; -ERANGE a
 * page that fd does not have; -errno. Unmap with munmap(). */
int shm_mem_map(void **mem, int fd, const uint64_t *pfns, unsigned n);

#endif
