/* test/bench/bench.c - see bench.h */
#include "bench.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void put_number(json_t *o, const char *name, double v)
{
	json_object_set_new(o, name, isnan(v) ? json_null() : json_real(v));
}

static void put_string(json_t *o, const char *name, const char *s)
{
	json_object_set_new(o, name, s ? json_string(s) : json_null());
}

static void print(json_t *o)
{
	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	fflush(stdout);
	json_decref(o);
}

void bench_print(const struct bench_row *row)
{
	json_t *o = json_object();

	put_string(o, "name", row->name);
	put_string(o, "unit", row->unit);
	put_number(o, "ours", row->ours);
	put_number(o, "peer", row->peer);
	put_string(o, "peer_name", row->peer_name);
	put_number(o, "ratio", row->ratio);
	put_string(o, "sense", row->sense);
	put_number(o, "bar", row->bar);
	print(o);
}

void bench_skip(const char *name, const char *reason)
{
	json_t *o = json_object();

	put_string(o, "name", name);
	put_string(o, "skipped", reason);
	print(o);
}

uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}
