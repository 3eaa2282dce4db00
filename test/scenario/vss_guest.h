/* test/scenario/vss_guest.h - the VSS driver with a file-system daemon and an
 * application that do what a scenario file's "guest" says:
 *
 *   {"fs": {"check": WHAT, "freeze": WHAT, "thaw": WHAT},
 *    "app": the same, "fs-there": true, "app-there": false}
 *
 *   WHAT   "yes", "no", "never" (no answer), "gone" (it dies instead), or a
 *          number: yes, so many milliseconds late
 *
 * What is not named stays as it was: at first all says yes, the daemon is
 * there and the application is not. Who died comes back with -there.
 */
#ifndef TEST_SCENARIO_VSS_GUEST_H
#define TEST_SCENARIO_VSS_GUEST_H

#include <jansson.h>
#include <stdbool.h>

#include "base/loop.h"
#include "ic/ic.h"

struct vss_guest;

struct vss_guest *vss_guest_new(struct loop *l);
void vss_guest_free(struct vss_guest *g);		/* NULL is fine */
struct ic *vss_guest_ic(struct vss_guest *g);
void vss_guest_be(struct vss_guest *g, const json_t *guest);

/* One answer that is due; false when there is none. */
bool vss_guest_answers(struct vss_guest *g);

/* Let all limits pass. True when nothing is frozen any more and each who was
 * told to freeze was told the end, once; else says what is wrong. */
bool vss_guest_comes_to_rest(struct vss_guest *g);

#endif
