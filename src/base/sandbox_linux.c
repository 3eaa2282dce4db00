/* base/sandbox_linux.c - prctl, capset and a seccomp filter.
 *
 * By system call and not by libseccomp and libcap-ng: doing the same with those
 * two left a small program 660 KiB larger (1060 to 1720 KiB resident), of the
 * 4 MiB that an idle daemon may have. */
#include "base/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NO_FILTER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || !defined(ARCH)
#define NO_FILTER 1
#endif

/* Capabilities ------------------------------------------------------------ */

static int drop_caps(const struct sandbox *s)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct have[2], keep[2] = { 0 };
	uint64_t wanted = 0;

	for (size_t i = 0; i < s->n_caps; i++)
		wanted |= (uint64_t)1 << s->caps[i];
	if (syscall(SYS_capget, &h, have) < 0)
		return -errno;
	/* The bounding set first; that takes CAP_SETPCAP, if we have it. */
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (!(wanted >> c & 1) &&
		    prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		keep[i].permitted = have[i].permitted &
				    (uint32_t)(wanted >> (32 * i));
		keep[i].effective = keep[i].permitted;
	}
	return syscall(SYS_capset, &h, keep) < 0 ? -errno : 0;
}

/* Filter ------------------------------------------------------------------ */

#ifndef NO_FILTER

static const int never[] = {
	SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
	SYS_init_module, SYS_finit_module, SYS_delete_module,
	SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff,
	SYS_pivot_root, SYS_chroot, SYS_acct, SYS_quotactl,
	SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
	SYS_add_key, SYS_request_key, SYS_keyctl, SYS_personality,
	SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
	SYS_sethostname, SYS_setdomainname, SYS_open_by_handle_at,
#ifdef SYS_mknod
	SYS_mknod,
#endif
	SYS_mknodat,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
	SYS_iopl, SYS_ioperm,
#endif
};

static const int exec_calls[] = {
	SYS_execve, SYS_execveat,
#ifdef SYS_fork
	SYS_fork, SYS_vfork,
#endif
};

static const int clone_calls[] = { SYS_clone, SYS_clone3 };

static const int mount_calls[] = {
	SYS_mount, SYS_umount2, SYS_setns, SYS_unshare,
	SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsmount,
};

static const int bpf_calls[] = { SYS_bpf };

enum {
	N_MAX = sizeof(never) / sizeof(int) + sizeof(exec_calls) / sizeof(int) +
		sizeof(clone_calls) / sizeof(int) + sizeof(mount_calls) / sizeof(int) + 1,
};

struct list {
	int nr[N_MAX];
	size_t n;
};

static void add(struct list *l, const int *nr, size_t n)
{
	for (size_t i = 0; i < n; i++)
		l->nr[l->n++] = nr[i];
}

#define ADD(l, calls) add(l, calls, sizeof(calls) / sizeof(*(calls)))

/* Threads, and nothing else that clone() makes. What clone3() would make is in
 * memory, where no filter can look: say that there is no such call, and libc
 * takes clone(). */
static unsigned short allow_threads(struct sock_filter *f)
{
	const uint32_t arg0 = offsetof(struct seccomp_data, args[0]);
	const struct sock_filter rows[] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
		/* the flags: the low half, little-endian machines only */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};

	memcpy(f, rows, sizeof(rows));
	return sizeof(rows) / sizeof(*rows);
}

static int load(const struct list *l, bool threads)
{
	struct sock_filter f[N_MAX + 16];
	struct sock_fprog prog = { .filter = f };
	unsigned short n = 0;

	/* Another ABI (a 32-bit call) has other numbers: refuse all of it. */
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH,
		1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
		SECCOMP_RET_ERRNO | EPERM);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K,
		0x40000000, (uint8_t)(l->n + 1 + (threads ? 7 : 0)), 0);
#endif
	if (threads)
		n = (unsigned short)(n + allow_threads(f + n));
	for (size_t i = 0; i < l->n; i++)
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(uint32_t)l->nr[i], (uint8_t)(l->n - i), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
		SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
		SECCOMP_RET_ERRNO | EPERM);
	prog.len = n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		return errno == EINVAL ? -ENOSYS : -errno;
	return 0;
}

static int filter(const struct sandbox *s)
{
	struct list l = { .n = 0 };

	ADD(&l, never);
	if (!s->may_exec)
		ADD(&l, exec_calls);
	if (!s->may_exec && !s->may_thread)
		ADD(&l, clone_calls);
	if (!s->may_mount)
		ADD(&l, mount_calls);
	if (!s->may_bpf)
		ADD(&l, bpf_calls);
	return load(&l, s->may_thread && !s->may_exec);
}

#else

static int filter(const struct sandbox *s)
{
	(void)s;
	return 0;
}

#endif

int sandbox_enter(const struct sandbox *s)
{
	int err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	err = drop_caps(s);
	return err ? err : filter(s);
}
