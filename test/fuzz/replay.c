/* test/fuzz/replay.c - run a fuzz target over the files of its corpus, so that
 * every finding ever made stays a test under ordinary compilers. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *exact;
	long size;
	size_t got;

	if (!f || fseek(f, 0, SEEK_END) < 0 || (size = ftell(f)) < 0) {
		perror(path);
		return -1;
	}
	rewind(f);
	exact = malloc(size ? (size_t)size : 1);	/* ASan sees its end */
	got = exact ? fread(exact, 1, (size_t)size, f) : 0;
	fclose(f);
	if (got != (size_t)size) {
		perror(path);
		free(exact);
		return -1;
	}
	LLVMFuzzerTestOneInput(exact, got);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *e;
	unsigned n = 0;
	DIR *d = argc == 2 ? opendir(argv[1]) : NULL;

	if (!d) {
		fprintf(stderr, "usage: replay corpus-directory\n");
		return 2;
	}
	while ((e = readdir(d))) {
		char path[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		if (replay_file(path) < 0)
			return 1;
		n++;
	}
	closedir(d);
	printf("%u inputs replayed\n", n);
	return n ? 0 : 1;
}
