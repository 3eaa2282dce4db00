/* test/bench/bench.h - what the benches have in common: a row of the result
 * table, a clock, a median.
 *
 * A bench program prints its rows on standard output, one JSON object a line,
 * and what a person may like to know meanwhile on standard error.
 * tools/bench.py runs them all, makes the table and judges the bars.
 *
 * What is compared is measured interleaved in the same run, ours and the
 * peer's in turn, so that a busy machine slows both; a row holds medians.
 */
#ifndef BENCH_H
#define BENCH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_NONE	NAN	/* no peer, no ratio, no bar */

struct bench_row {
	const char *name;
	const char *unit;	/* of ours and peer: "us", "MB/s", "KiB" */
	double ours;
	double peer;		/* or BENCH_NONE */
	const char *peer_name;	/* or NULL */
	double ratio;		/* as the name says; or BENCH_NONE */
	const char *sense;	/* ">=" or "<=": how to meet the bar */
	double bar;		/* for ratio, without one for ours; BENCH_NONE:
				 * reported only */
};

void bench_print(const struct bench_row *row);
/* Why a comparison is missing: "no build/peers", say. */
void bench_skip(const char *name, const char *reason);

uint64_t bench_now_ns(void);			/* CLOCK_MONOTONIC */
double bench_median(double *v, size_t n);	/* sorts v; n > 0 */

#endif
