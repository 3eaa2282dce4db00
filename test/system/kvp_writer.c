/* kvp_writer DIR COUNT - set COUNT keys in the guest's pool, one by one, as
 * programs do through libhyperv; starts once a line comes in on standard
 * input. */
#include <hyperv/kvp.h>
#include <stdio.h>
#include <stdlib.h>

static int write_keys(struct hv_kvp *h, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char key[32], value[32];
		int err;

		snprintf(key, sizeof(key), "ours-%05u", i);
		snprintf(value, sizeof(value), "value %u", i);
		err = hv_kvp_set(h, key, value);
		if (err) {
			fprintf(stderr, "%s: %s\n", key, hv_kvp_error());
			return err;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct hv_kvp *h;
	int err;

	if (argc != 3) {
		fprintf(stderr, "usage: kvp_writer DIR COUNT\n");
		return 2;
	}
	err = hv_kvp_open(&h, HV_KVP_GUEST, HV_KVP_WRITE | HV_KVP_NO_SYNC,
			  argv[1]);
	if (err) {
		fprintf(stderr, "%s: %s\n", argv[1], hv_kvp_error());
		return EXIT_FAILURE;
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != '\n' && !feof(stdin))
		;
	err = write_keys(h, (unsigned)strtoul(argv[2], NULL, 10));
	hv_kvp_close(h);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
