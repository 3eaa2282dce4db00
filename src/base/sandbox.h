/* base/sandbox.h - give up what a program does not need, for good.
 *
 * No new privileges; every capability but those named is dropped from all
 * sets, the bounding one included; and a seccomp filter refuses, with EPERM,
 * what no program of ours does while it serves: running programs, making
 * processes, tracing, kernel modules, mounts, namespaces, BPF, and the like.
 * The filter names what is refused and not what is allowed, so that another
 * libc or allocator does not turn into an outage.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

struct sandbox {
	const int *caps;	/* CAP_* to keep; also only if we have them */
	size_t n_caps;
	bool may_exec;		/* fork, clone and execve */
	bool may_thread;	/* threads, without may_exec: no processes */
	bool may_mount;		/* mount, umount2, setns, unshare */
	bool may_bpf;
};

/* 0; -ENOSYS the kernel has no seccomp (the rest was done); -errno. Under
 * AddressSanitizer the filter is left out: its leak check needs ptrace. */
int sandbox_enter(const struct sandbox *s);

#endif
