/* test/system/need.h - what must hold, in every build. */
#ifndef TEST_NEED_H
#define TEST_NEED_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEED(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, \
				__LINE__, #what, strerror(errno)); \
			abort(); \
		} \
	} while (0)

#endif
