/* test/unit/test_auto.c - the automatic items and the texts they come from. */
#include "kvp/auto.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

static const char release_text[] =
	"# os-release of a made-up system\n"
	"NAME=\"Made \\\"Up\\\" Linux \\$1 \\`x\\` a\\\\b\"\n"
	"VERSION_ID=12.5\n"
	"  ID=made\n"
	"PRETTY_NAME='It''s \\ raw'\n"
	"VERSION=\"open\n"
	"NAMES=no\n"
	"EMPTY=\n"
	"TWICE=a\n"
	"TWICE=b # comment\n"
	"PLAIN=a\\ b\n"
	"LAST=end";

static void reads_os_release_with_quotes_and_escapes(void **state)
{
	static const struct { const char *name, *value; } want[] = {
		{ "NAME", "Made \"Up\" Linux $1 `x` a\\b" },
		{ "VERSION_ID", "12.5" }, { "ID", "made" },
		{ "PRETTY_NAME", "Its \\ raw" }, { "EMPTY", "" },
		{ "TWICE", "b" }, { "PLAIN", "a b" }, { "LAST", "end" },
	};
	char v[256];

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		assert_int_equal(os_release_get(release_text, want[i].name, v,
						sizeof(v)), 0);
		assert_string_equal(v, want[i].value);
	}
	assert_int_equal(os_release_get(release_text, "VERSION", v, sizeof(v)),
			 -EINVAL);
	assert_string_equal(v, "");
	assert_int_equal(os_release_get(release_text, "MISSING", v, sizeof(v)),
			 -ENOENT);
	assert_int_equal(os_release_get("NAME=too long", "NAME", v, 3), -EINVAL);
}

/* vmbus-and-ic 4.7, freebsd-behaviour 6.22: major was the whole, minor empty */
static void a_version_splits_into_major_and_minor(void **state)
{
	static const struct { const char *version, *major, *minor; } want[] = {
		{ "12.5", "12", "5" }, { "12", "12", "" },
		{ "22.04", "22", "04" }, { "9.3.1", "9", "3" },
		{ "", "", "" }, { "7.", "7", "" },
	};
	char v[32];

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		version_part(v, sizeof(v), want[i].version, 0);
		assert_string_equal(v, want[i].major);
		version_part(v, sizeof(v), want[i].version, 1);
		assert_string_equal(v, want[i].minor);
	}
}

/* vmbus-and-ic 7.18, freebsd-behaviour 6.22: DNS at start, error text as value */
static void the_full_name_comes_from_files(void **state)
{
	static const struct { const char *host, *hosts, *resolv, *want; } c[] = {
		{ "vm", "", "", "vm" },
		{ "vm", "127.0.1.1 vm.example.org vm\n", "", "vm.example.org" },
		{ "vm", "127.0.1.1\tvm vm.example.org\n", "", "vm.example.org" },
		{ "VM", "127.0.1.1 vm.example.org vm\n", "", "vm.example.org" },
		{ "vm", "1.2.3.4 vm2.example.org vm2\n", "search a.b c.d\n",
		  "vm.a.b" },
		{ "vm", "#127.0.1.1 vm.example.org vm\n", "domain d.e\n",
		  "vm.d.e" },
		{ "vm", "127.0.0.1 localhost vm\n", "search .\n", "vm" },
		{ "vm", "127.0.0.1 localhost.localdomain vm\n", "", "vm" },
		{ "vm.example.org", "127.0.1.1 vm.other vm\n", "domain d.e",
		  "vm.example.org" },
		{ "vm", "1.2.3.4 vm.example.org\n", "", "vm" },
		{ "vm", "", "search example.org.\n", "vm.example.org" },
		{ "vm", "", "domain a.b\nsearch c.d e.f\n", "vm.c.d" },
	};
	char v[256];

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		auto_fqdn(v, sizeof(v), c[i].host, c[i].hosts, c[i].resolv);
		assert_string_equal(v, c[i].want);
	}
}

struct root {
	char path[32];
	struct auto_cfg cfg;
};

static void put(const char *root, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void drop(const char *root, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", root, name);
	remove(path);
}

static int make_root(void **state)
{
	static struct root r;
	char etc[64];

	strcpy(r.path, "/tmp/test_auto.XXXXXX");
	assert_non_null(mkdtemp(r.path));
	snprintf(etc, sizeof(etc), "%s/etc", r.path);
	assert_int_equal(mkdir(etc, 0700), 0);
	r.cfg = (struct auto_cfg){ .root = r.path };
	*state = &r;
	return 0;
}

static int remove_root(void **state)
{
	struct root *r = *state;

	drop(r->path, "/etc/os-release");
	drop(r->path, "/etc/hosts");
	drop(r->path, "/etc");
	drop(r->path, "");
	return 0;
}

static void the_first_ten_are_upstreams_in_its_order(void **state)
{
	static const char *const keys[] = {
		"FullyQualifiedDomainName", "IntegrationServicesVersion",
		"NetworkAddressIPv4", "NetworkAddressIPv6", "OSBuildNumber",
		"OSName", "OSMajorVersion", "OSMinorVersion", "OSVersion",
		"ProcessorArchitecture",
	};
	struct root *r = *state;
	struct auto_item item;

	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(auto_at(&r->cfg, "3.1", i, &item), 0);
		assert_string_equal(item.key, keys[i]);
	}
	/* nothing known beyond them: no empty items */
	assert_int_equal(auto_at(&r->cfg, "3.1", 10, &item), -ENOENT);
	assert_int_equal(auto_at(&r->cfg, "3.1", UINT32_MAX, &item), -ENOENT);
}

static void assert_item(struct root *r, const char *key, const char *value)
{
	struct auto_item item;

	assert_int_equal(auto_get(&r->cfg, "3.1", key, &item), 0);
	assert_string_equal(item.key, key);
	assert_string_equal(item.value, value);
}

static void values_are_those_of_the_system(void **state)
{
	struct root *r = *state;
	struct auto_item item;
	struct utsname u;
	char version[80];

	uname(&u);
	snprintf(version, sizeof(version), "%s", u.release);
	version[strcspn(version, "-")] = '\0';
	put(r->path, "/etc/os-release", "NAME=\"Made Up\"\nID=made\n"
	    "VERSION_ID=\"12.5\"\nPRETTY_NAME=\"Made Up 12.5\"\n");
	assert_item(r, "IntegrationServicesVersion", "3.1");
	assert_item(r, "OSBuildNumber", u.release);
	assert_item(r, "OSName", "Made Up");
	assert_item(r, "OSMajorVersion", "12");
	assert_item(r, "OSMinorVersion", "5");
	assert_item(r, "OSVersion", version);
	assert_item(r, "ProcessorArchitecture", u.machine);
	assert_item(r, "OSDistributionName", "made");
	assert_item(r, "OSDistributionData", "Made Up 12.5");
	assert_int_equal(auto_get(&r->cfg, "", "OSVendor", &item), -ENOENT);
	assert_int_equal(auto_at(&r->cfg, "", 11, &item), 0);
	assert_int_equal(auto_at(&r->cfg, "", 12, &item), -ENOENT);
}

/* vmbus-and-ic 7.18: changes went unnoticed until a restart */
static void a_change_is_seen_by_the_next_request(void **state)
{
	struct root *r = *state;
	struct utsname u;

	uname(&u);
	assert_item(r, "OSName", u.sysname);
	put(r->path, "/etc/os-release", "NAME=one\n");
	assert_item(r, "OSName", "one");
	put(r->path, "/etc/os-release", "NAME=two\n");
	assert_item(r, "OSName", "two");
}

static void a_value_that_is_not_utf8_is_none(void **state)
{
	struct root *r = *state;

	put(r->path, "/etc/os-release", "NAME=\"\xff\"\n");
	assert_item(r, "OSName", "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_os_release_with_quotes_and_escapes),
		cmocka_unit_test(a_version_splits_into_major_and_minor),
		cmocka_unit_test(the_full_name_comes_from_files),
		TEST(the_first_ten_are_upstreams_in_its_order),
		TEST(values_are_those_of_the_system),
		TEST(a_change_is_seen_by_the_next_request),
		TEST(a_value_that_is_not_utf8_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
