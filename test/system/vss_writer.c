/* vss_writer FILE ACK - append numbered records to FILE, each synced, and say
 * in ACK, on a file system that is not frozen, how many are durable.
 *
 *   record   32 bytes: its number from 1 on, three words derived from it
 *   ACK      8 bytes, mapped: the last number that fsync() has answered
 *
 * Beside FILE a megabyte is overwritten again and again and never synced, so
 * that there is always something to flush. Goes on where FILE ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS = 4, DIRTY_EVERY = 16, CHUNK = 65536 };

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static _Atomic uint64_t *map_ack(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at;

	if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) < 0)
		die(path);
	at = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
		  fd, 0);
	if (at == MAP_FAILED)
		die(path);
	return at;
}

static void make_dirty(int fd, uint64_t n)
{
	static char chunk[CHUNK];

	memset(chunk, (int)n, sizeof(chunk));
	if (pwrite(fd, chunk, sizeof(chunk),
		   (off_t)(n / DIRTY_EVERY % 16 * CHUNK)) < 0)
		die("dirty");
}

static void append(int fd, uint64_t n)
{
	const uint64_t record[WORDS] = {
		n, n * 0x9e3779b97f4a7c15u, ~n, n ^ 0x5a5a5a5a5a5a5a5au,
	};

	if (write(fd, record, sizeof(record)) != sizeof(record))
		die("write");
	if (fsync(fd) < 0)
		die("fsync");
}

int main(int argc, char **argv)
{
	char dirty[4096];
	_Atomic uint64_t *ack;
	int fd, beside;
	struct stat st;

	if (argc != 3 || snprintf(dirty, sizeof(dirty), "%s.dirty", argv[1]) >=
	    (int)sizeof(dirty))
		return 2;
	ack = map_ack(argv[2]);
	fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	beside = open(dirty, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || beside < 0 || fstat(fd, &st) < 0)
		die(argv[1]);
	for (uint64_t n = (uint64_t)st.st_size / 32 + 1;; n++) {
		append(fd, n);
		atomic_store(ack, n);
		if (n % DIRTY_EVERY == 0)
			make_dirty(beside, n);
	}
}
