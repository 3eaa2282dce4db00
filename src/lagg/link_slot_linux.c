/* lagg/link_slot_linux.c - by the files that the kernel has for each slot. */
#include "lagg/link_slot_linux.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A slot's address has no function number: "0001:00:02". */
static bool slot_is_of(int dir, const char *slot, const char *device)
{
	char path[64], address[32];
	ssize_t n;
	size_t len;
	int fd;

	snprintf(path, sizeof(path), "%.32s/address", slot);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, address, sizeof(address) - 1);
	close(fd);
	address[n > 0 ? n : 0] = '\0';
	len = strcspn(address, "\n");
	return len && !strncmp(address, device, len) && device[len] == '.';
}

static bool is_number(const char *name, uint32_t *number)
{
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)*name))
		return false;
	errno = 0;
	n = strtoull(name, &end, 10);
	*number = (uint32_t)n;
	return !errno && !*end && n <= UINT32_MAX;
}

bool link_slot_serial(const char *slots, const char *device, uint32_t *serial)
{
	const struct dirent *e;
	bool found = false;
	DIR *d;

	*serial = 0;
	d = *device ? opendir(slots) : NULL;
	if (!d)
		return false;
	while (!found && (e = readdir(d)))
		found = is_number(e->d_name, serial) &&
			slot_is_of(dirfd(d), e->d_name, device);
	closedir(d);
	if (!found)
		*serial = 0;
	return found;
}
