/* lagg/attach_linux.c - tcx links by bpf(2) itself, since the library of 2023
 * that stable systems ship has no name for them; cls_bpf by the library. */
#include "lagg/attach_linux.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of Linux 6.6's <linux/bpf.h>. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47 };
/* Where our filter stands in its queue. */
enum { FILTER_HANDLE = 0x6876, FILTER_PRIORITY = 0x6876 };
enum { NO_SUCH_LINK = 0x7fffffff };

static int tcx_create(int ifindex, bool egress, int prog)
{
	/* prog_fd, target_ifindex, attach_type, flags. The rest, which the
	 * kernel may know a meaning for, is zero. */
	__u32 attr[16] = { (__u32)prog, (__u32)ifindex,
			   egress ? TCX_EGRESS : TCX_INGRESS, 0 };
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

int attach_probe_tcx(int prog)
{
	int fd = tcx_create(NO_SUCH_LINK, false, prog);

	return fd == -ENODEV ? 0 : fd < 0 ? fd : -EPROTO;
}

static int tcx_put(struct attach *a, int ifindex, int prog)
{
	int fd = tcx_create(ifindex, a->egress, prog);

	if (fd < 0)
		return fd;
	if (a->pin[0]) {
		unlink(a->pin);		/* one whose link is long gone */
		if (bpf_obj_pin(fd, a->pin) < 0) {
			int err = -errno;

			close(fd);
			return err;
		}
	}
	a->link = fd;
	return 0;
}

/* What a link is attached to; 0: to nothing any more. The library of 2023 has
 * no field for it either: type, id, prog_id, then for tcx the index. */
static int tcx_ifindex(int fd)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info), index = 0;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return 0;
	memcpy(&index, (const char *)&info +
	       offsetof(struct bpf_link_info, raw_tracepoint), sizeof(index));
	return (int)index;
}

static int tcx_take(struct attach *a, int ifindex, int prog)
{
	int fd;

	if (!a->pin[0])
		return -ENOENT;
	fd = bpf_obj_get(a->pin);
	if (fd < 0)
		return -ENOENT;
	if (tcx_ifindex(fd) != ifindex ||
	    bpf_link_update(fd, prog, NULL) < 0) {
		close(fd);
		unlink(a->pin);
		return -ENOENT;
	}
	a->link = fd;
	return 0;
}

/* clsact ----------------------------------------------------------------- */

static void clsact_hook(struct bpf_tc_hook *hook, const struct attach *a,
			int ifindex)
{
	*hook = (struct bpf_tc_hook){
		.sz = sizeof(*hook), .ifindex = ifindex,
		.attach_point = a->egress ? BPF_TC_EGRESS : BPF_TC_INGRESS,
	};
}

static int clsact_put(struct attach *a, int ifindex, int prog)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog,
		    .flags = BPF_TC_F_REPLACE, .handle = FILTER_HANDLE,
		    .priority = FILTER_PRIORITY);
	struct bpf_tc_hook hook;
	int err;

	clsact_hook(&hook, a, ifindex);
	err = bpf_tc_hook_create(&hook);
	a->own_queue = !err;
	if (err && err != -EEXIST)
		return err;
	return bpf_tc_attach(&hook, &opts);
}

static void clsact_del(const struct attach *a)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
		    .priority = FILTER_PRIORITY);
	struct bpf_tc_hook hook;

	clsact_hook(&hook, a, a->ifindex);
	bpf_tc_detach(&hook, &opts);
	if (a->own_queue) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		bpf_tc_hook_destroy(&hook);
	}
}

/* Either ----------------------------------------------------------------- */

int attach_put(struct attach *a, int ifindex, int prog)
{
	int err;

	attach_del(a);
	err = a->how == ATTACH_TCX ? tcx_put(a, ifindex, prog) :
				     clsact_put(a, ifindex, prog);
	if (!err)
		a->ifindex = ifindex;
	return err;
}

int attach_take(struct attach *a, int ifindex, int prog)
{
	/* cls_bpf replaces a filter at once, so to take is to put. */
	int err = a->how == ATTACH_TCX ? tcx_take(a, ifindex, prog) :
					 clsact_put(a, ifindex, prog);

	if (!err)
		a->ifindex = ifindex;
	return err;
}

void attach_del(struct attach *a)
{
	if (!a->ifindex)
		return;
	if (a->how == ATTACH_CLSACT)
		clsact_del(a);
	else if (a->pin[0])
		unlink(a->pin);
	attach_leave(a);
}

void attach_leave(struct attach *a)
{
	if (a->ifindex && a->link >= 0)
		close(a->link);
	a->link = -1;
	a->ifindex = 0;
}
