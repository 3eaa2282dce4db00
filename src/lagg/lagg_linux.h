/* lagg/lagg_linux.h - the back ends of Linux; for the files that make them and
 * the table that lists them (lagg.h, lagg_back_ends). */
#ifndef LAGG_LAGG_LINUX_H
#define LAGG_LAGG_LINUX_H

#include "lagg/lagg.h"

extern const struct lagg_ops lagg_bpf_ops;
extern const struct lagg_ops lagg_bonding_ops;

#endif
