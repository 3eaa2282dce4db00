/* pool_writer DIR COUNT - set COUNT keys in the guest's pool, one by one, as
 * programs do through libhyperv; starts once a line comes in on standard
 * input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvp/pool.h"

static int write_keys(struct pool *p, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char key[32], value[32];
		int err;

		snprintf(key, sizeof(key), "ours-%05u", i);
		snprintf(value, sizeof(value), "value %u", i);
		err = pool_set(p, key, value);
		if (err) {
			fprintf(stderr, "%s: %s\n", key, strerror(-err));
			return err;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct pool_cfg cfg = {
		.dir = argv[1], .id = KVP_POOL_GUEST, .access = POOL_WRITE,
		.no_sync = true, .lock_timeout_ms = 30000,
	};
	struct pool *p = argc == 3 ? pool_open(&cfg) : NULL;
	int err;

	if (!p) {
		perror("pool_writer DIR COUNT");
		return EXIT_FAILURE;
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != '\n' && !feof(stdin))
		;
	err = write_keys(p, (unsigned)strtoul(argv[2], NULL, 10));
	pool_close(p);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
