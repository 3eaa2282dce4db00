/* kvp/auto.c - the automatic items as one table, and the texts they come from.
 *
 * An item is found out each time it is asked for: a few small files and
 * system calls, at most three netlink dumps. That is cheaper than being wrong
 * after a rename, an upgrade or a new address, and holds no memory.
 *
 * The host's full name never comes from DNS: a resolver that does not answer
 * would hold up the host's requests beyond their limit. What hosts(5) says is
 * what a resolver would say first anyway. */
#include "kvp/auto.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/utf16.h"

enum {
	FILE_MAX = 1 << 18,	/* bytes of a text that we look at */
	LIST_MAX = 1022,	/* bytes of an address list; see kvp/ip_info.h */
};

/* Texts ------------------------------------------------------------------ */

/* The file as NUL-terminated text, or NULL. The caller frees it. */
static char *read_text(const char *root, const char *path)
{
	char full[512], *text;
	size_t len = 0;
	ssize_t n = -1;
	int fd;

	snprintf(full, sizeof(full), "%s%s", root ? root : "", path);
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return NULL;
	text = malloc(FILE_MAX + 1);
	while (text && len < FILE_MAX &&
	       (n = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	close(fd);
	if (text && n < 0) {
		free(text);
		return NULL;
	}
	if (text)
		text[len] = '\0';
	return text;
}

/* Copy the line at *p without its end into line and move on. A line that does
 * not fit is cut. */
static bool next_line(const char **p, char *line, size_t cap)
{
	size_t len = strcspn(*p, "\n");

	if (!**p)
		return false;
	snprintf(line, cap, "%.*s", (int)(len < cap ? len : cap), *p);
	*p += len + ((*p)[len] == '\n');
	return true;
}

/* A shell-like value: plain, 'single' or "double" quoted pieces. */
static int unquote(char *out, size_t cap, const char *s)
{
	char quote = '\0';
	size_t n = 0;

	for (; *s; s++) {
		if (quote ? *s == quote : *s == '\'' || *s == '"') {
			quote = quote ? '\0' : *s;
			continue;
		}
		if (!quote && isspace((unsigned char)*s))
			break;
		if (*s == '\\' && quote != '\'' && s[1] &&
		    (!quote || strchr("\"\\$`", s[1])))
			s++;
		if (n + 1 >= cap)
			return -EINVAL;
		out[n++] = *s;
	}
	out[n] = '\0';
	return quote ? -EINVAL : 0;
}

int os_release_get(const char *text, const char *name, char *value, size_t cap)
{
	size_t name_len = strlen(name);
	int found = -ENOENT;
	char line[2048];

	value[0] = '\0';
	while (next_line(&text, line, sizeof(line))) {
		const char *p = line + strspn(line, " \t");

		if (strncmp(p, name, name_len) || p[name_len] != '=')
			continue;
		found = unquote(value, cap, p + name_len + 1);
	}
	if (found < 0)
		value[0] = '\0';
	return found;
}

void version_part(char *out, size_t cap, const char *version, unsigned part)
{
	while (part-- && version) {
		version = strchr(version, '.');
		if (version)
			version++;
	}
	snprintf(out, cap, "%.*s", version ? (int)strcspn(version, ".") : 0,
		 version ? version : "");
}

/* The full name --------------------------------------------------------- */

static bool same_name(const char *a, const char *b, size_t n)
{
	return strlen(a) == n && !strncasecmp(a, b, n);
}

static bool is_full_name_of(const char *name, const char *host)
{
	size_t n = strlen(host);

	return !strncasecmp(name, host, n) && name[n] == '.' && name[n + 1];
}

/* One line "address name alias...": the host's full name, if host is on it. */
static bool hosts_line(char *out, size_t cap, const char *host, char *line)
{
	char *save, *word, *full = NULL;
	bool listed = false;

	line[strcspn(line, "#")] = '\0';
	strtok_r(line, " \t\r", &save);		/* the address */
	while ((word = strtok_r(NULL, " \t\r", &save))) {
		listed |= same_name(host, word, strlen(word));
		if (!full && is_full_name_of(word, host))
			full = word;
	}
	if (!listed || !full)
		return false;
	snprintf(out, cap, "%s", full);
	return true;
}

/* "domain NAME", or the first of "search NAME...", the last one winning. */
static void resolver_domain(char *out, size_t cap, const char *resolv)
{
	char line[1024];

	out[0] = '\0';
	while (next_line(&resolv, line, sizeof(line))) {
		char *save, *word = strtok_r(line, " \t\r", &save);

		if (!word || (strcmp(word, "domain") && strcmp(word, "search")))
			continue;
		word = strtok_r(NULL, " \t\r", &save);
		if (word && strcmp(word, "."))	/* "." is no domain */
			snprintf(out, cap, "%s", word);
	}
	if (out[0] && out[strlen(out) - 1] == '.')
		out[strlen(out) - 1] = '\0';
}

void auto_fqdn(char *out, size_t cap, const char *host, const char *hosts,
	       const char *resolv)
{
	char line[1024], domain[256];

	if (!strchr(host, '.'))
		while (next_line(&hosts, line, sizeof(line)))
			if (hosts_line(out, cap, host, line))
				return;
	resolver_domain(domain, sizeof(domain), resolv);
	if (strchr(host, '.') || !domain[0])
		snprintf(out, cap, "%s", host);
	else
		snprintf(out, cap, "%s.%s", host, domain);
}

/* Items ------------------------------------------------------------------ */

struct ask {
	const struct auto_cfg *cfg;
	const char *version;
	struct utsname uts;
};

static void fqdn(const struct ask *a, char *v)
{
	char *hosts = read_text(a->cfg->root, "/etc/hosts");
	char *resolv = read_text(a->cfg->root, "/etc/resolv.conf");

	auto_fqdn(v, KVP_VALUE_SIZE, a->uts.nodename, hosts ? hosts : "",
		  resolv ? resolv : "");
	free(hosts);
	free(resolv);
}

static void services_version(const struct ask *a, char *v)
{
	snprintf(v, KVP_VALUE_SIZE, "%s", a->version);
}

static void addresses(const struct ask *a, char *v, unsigned family)
{
	struct netif_table t;

	if (netif_read(&t, 0) == 0)
		netif_list(v, LIST_MAX, &t, family, &a->cfg->addresses);
	netif_free(&t);
}

static void addresses4(const struct ask *a, char *v)
{
	addresses(a, v, 4);
}

static void addresses6(const struct ask *a, char *v)
{
	addresses(a, v, 6);
}

/* The os-release value of this name; "" when there is none. */
static void release(const struct ask *a, char *v, const char *name)
{
	char *text = read_text(a->cfg->root, "/etc/os-release");

	if (!text)
		text = read_text(a->cfg->root, "/usr/lib/os-release");
	if (text && os_release_get(text, name, v, KVP_VALUE_SIZE) < 0)
		v[0] = '\0';
	free(text);
}

static void kernel_release(const struct ask *a, char *v)
{
	snprintf(v, KVP_VALUE_SIZE, "%s", a->uts.release);
}

static void kernel_version(const struct ask *a, char *v)
{
	snprintf(v, KVP_VALUE_SIZE, "%.*s", (int)strcspn(a->uts.release, "-"),
		 a->uts.release);
}

static void os_name(const struct ask *a, char *v)
{
	release(a, v, "NAME");
	if (!v[0])
		snprintf(v, KVP_VALUE_SIZE, "%s", a->uts.sysname);
}

static void os_version_part(const struct ask *a, char *v, unsigned part)
{
	char version[KVP_VALUE_SIZE] = "";

	release(a, version, "VERSION_ID");
	version_part(v, KVP_VALUE_SIZE, version, part);
}

static void os_major(const struct ask *a, char *v)
{
	os_version_part(a, v, 0);
}

static void os_minor(const struct ask *a, char *v)
{
	os_version_part(a, v, 1);
}

static void machine(const struct ask *a, char *v)
{
	snprintf(v, KVP_VALUE_SIZE, "%s", a->uts.machine);
}

static void distribution_name(const struct ask *a, char *v)
{
	release(a, v, "ID");
}

static void distribution_data(const struct ask *a, char *v)
{
	release(a, v, "PRETTY_NAME");
}

static void distribution_build(const struct ask *a, char *v)
{
	release(a, v, "BUILD_ID");
}

static void vendor(const struct ask *a, char *v)
{
	release(a, v, "VENDOR_NAME");
}

static void edition(const struct ask *a, char *v)
{
	release(a, v, "VARIANT_ID");
}

static const struct {
	const char *key;
	void (*value)(const struct ask *a, char *v);
} items[] = {
	{ "FullyQualifiedDomainName", fqdn },
	{ "IntegrationServicesVersion", services_version },
	{ "NetworkAddressIPv4", addresses4 },
	{ "NetworkAddressIPv6", addresses6 },
	{ "OSBuildNumber", kernel_release },
	{ "OSName", os_name },
	{ "OSMajorVersion", os_major },
	{ "OSMinorVersion", os_minor },
	{ "OSVersion", kernel_version },
	{ "ProcessorArchitecture", machine },
	/* ours; see the manual page */
	{ "OSDistributionName", distribution_name },
	{ "OSDistributionData", distribution_data },
	{ "OSDistributionBuild", distribution_build },
	{ "OSVendor", vendor },
	{ "OSEditionId", edition },
};

enum { N_ITEMS = sizeof(items) / sizeof(*items) };

/* Text from files may be anything; what is not UTF-8 is no value. */
static void ask_item(const struct auto_cfg *cfg, const char *version,
		     unsigned i, struct auto_item *item)
{
	struct ask a = { .cfg = cfg, .version = version };

	uname(&a.uts);
	snprintf(item->key, sizeof(item->key), "%s", items[i].key);
	item->value[0] = '\0';
	items[i].value(&a, item->value);
	if (!utf8_valid(item->value, strlen(item->value)))
		item->value[0] = '\0';
}

int auto_at(const struct auto_cfg *cfg, const char *version, uint32_t index,
	    struct auto_item *item)
{
	uint32_t n = AUTO_N_FIXED;

	if (index < AUTO_N_FIXED) {
		ask_item(cfg, version, index, item);
		return 0;
	}
	for (unsigned i = AUTO_N_FIXED; i < N_ITEMS; i++) {
		ask_item(cfg, version, i, item);
		if (item->value[0] && n++ == index)
			return 0;
	}
	return -ENOENT;
}

int auto_get(const struct auto_cfg *cfg, const char *version, const char *key,
	     struct auto_item *item)
{
	for (unsigned i = 0; i < N_ITEMS; i++) {
		if (strcmp(key, items[i].key))
			continue;
		ask_item(cfg, version, i, item);
		return i < AUTO_N_FIXED || item->value[0] ? 0 : -ENOENT;
	}
	return -ENOENT;
}
