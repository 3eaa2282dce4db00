/* test/unit/test_sandbox.c - what is given up is gone. In child processes:
 * there is no way back. */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif

/* Run fn in a sandboxed child; 0 when it found everything as it should be,
 * else the number it gives. */
static int in_child(const struct sandbox *s, int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		int err = sandbox_enter(s);

		_exit(err ? 100 : fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static int runs_nothing(void)
{
	char *const argv[] = { "/bin/true", NULL };

	if (execv("/bin/true", argv) == 0 || errno != EPERM)
		return 1;
	if (fork() >= 0 || errno != EPERM)
		return 2;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 || errno != EPERM)
		return 3;
	return unshare(CLONE_NEWUSER) == 0 || errno != EPERM ? 4 : 0;
}

static int serves(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	if (fd < 0)
		return 1;
	close(fd);
	fd = open("/etc/passwd", O_RDONLY);
	if (fd < 0)
		return 2;
	free(malloc(1 << 20));
	return 0;
}

static int has_no_caps(void)
{
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (geteuid() == 0 && prctl(PR_CAPBSET_READ, c, 0, 0, 0))
			return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	return chroot("/") == 0 ? 3 : 0;
}

static int has_net_admin_alone(void)
{
	if (prctl(PR_CAPBSET_READ, CAP_NET_ADMIN, 0, 0, 0) != 1)
		return 1;
	return prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 0;
}

static int runs(void)
{
	char *const argv[] = { "/bin/true", NULL };

	execv("/bin/true", argv);
	return 1;
}

static void *nothing(void *arg)
{
	return arg;
}

static int makes_threads_alone(void)
{
	char *const argv[] = { "/bin/true", NULL };
	pthread_t t;

	if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL))
		return 1;
	if (fork() >= 0 || errno != EPERM)
		return 2;
	if (execv("/bin/true", argv) == 0 || errno != EPERM)
		return 3;
	return 0;
}

/* vmbus-and-ic 7.16, freebsd-behaviour 6.19: shells, from a daemon that reads
 * the host's bytes */
static void refuses_programs_processes_and_tracing(void **state)
{
	const struct sandbox s = { 0 };

	(void)state;
#ifdef ASAN
	skip();
#endif
	assert_int_equal(in_child(&s, runs_nothing), 0);
}

static void may_make_threads_and_no_processes(void **state)
{
	const struct sandbox s = { .may_thread = true };

	(void)state;
#ifdef ASAN
	skip();
#endif
	assert_int_equal(in_child(&s, makes_threads_alone), 0);
}

static void files_sockets_and_memory_work(void **state)
{
	const struct sandbox s = { 0 };

	(void)state;
	assert_int_equal(in_child(&s, serves), 0);
}

static void drops_every_capability_but_those_named(void **state)
{
	static const int caps[] = { CAP_NET_ADMIN };
	const struct sandbox none = { 0 }, one = { .caps = caps, .n_caps = 1 };

	(void)state;
	assert_int_equal(in_child(&none, has_no_caps), 0);
	if (geteuid() == 0 && prctl(PR_CAPBSET_READ, CAP_NET_ADMIN, 0, 0, 0) == 1)
		assert_int_equal(in_child(&one, has_net_admin_alone), 0);
}

static void may_exec_if_told_so(void **state)
{
	const struct sandbox s = { .may_exec = true };

	(void)state;
	assert_int_equal(in_child(&s, runs), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_programs_processes_and_tracing),
		cmocka_unit_test(may_make_threads_and_no_processes),
		cmocka_unit_test(files_sockets_and_memory_work),
		cmocka_unit_test(drops_every_capability_but_those_named),
		cmocka_unit_test(may_exec_if_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
