/* kvp/ip_info_linux.c - adapters, DHCP and DNS as Linux tells them, without
 * running anything.
 *
 * DHCP. Every current client gives its address a lifetime, which the kernel
 * keeps: an IPv4 address that is not permanent came by DHCP. Clients that set
 * none are known by their lease: systemd-networkd's for this interface
 * (removed when DHCP is switched off), else a lease of dhclient or
 * NetworkManager for this interface that names an address it still has; those
 * files outlive their use, so their being there says nothing. */
#include "kvp/ip_info.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_CAP = 512, TEXT_MAX = 1 << 16 };

/* The last TEXT_MAX - 1 bytes of a file as text in buf; "" when there is none.
 * Lease files grow at their end. */
static bool read_tail(char buf[TEXT_MAX], const char *root, const char *name)
{
	ssize_t n = 0, len = 0;
	char path[PATH_CAP];
	off_t size;
	int fd;

	buf[0] = '\0';
	if (snprintf(path, sizeof(path), "%s%s", root ? root : "", name) >=
	    (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false;
	size = lseek(fd, 0, SEEK_END);
	if (size >= TEXT_MAX)
		lseek(fd, 1 - TEXT_MAX, SEEK_END);
	else
		lseek(fd, 0, SEEK_SET);
	while (len < TEXT_MAX - 1 &&
	       (n = read(fd, buf + len, (size_t)(TEXT_MAX - 1 - len))) > 0)
		len += n;
	close(fd);
	buf[len] = '\0';
	return n >= 0;
}

void ip_info_match_guid(const struct netif_table *t, const char *guid,
			const char *root, bool *match)
{
	char *text = malloc(TEXT_MAX);

	for (size_t i = 0; text && i < t->n_ifs; i++) {
		uint8_t mac[NETIF_MAC];
		char path[64], here[37];

		snprintf(path, sizeof(path), "/sys/class/net/%s/device/device_id",
			 t->ifs[i].name);
		if (!read_tail(text, root, path))
			continue;
		text[strcspn(text, "\n")] = '\0';
		match[i] = ip_id_parse(text, mac, here) == IP_ID_GUID &&
			   !strcmp(here, guid);
	}
	free(text);
}

/* DHCP ------------------------------------------------------------------- */

/* Is the last `word` of the text followed by an address of the interface? */
static bool leases_ours(const char *text, const char *word,
			const struct netif_table *t, const struct netif *i)
{
	const char *p, *last = NULL;
	char addr[INET_ADDRSTRLEN];
	uint8_t in[4];

	for (p = text; (p = strstr(p, word)); p++)
		last = p + strlen(word);
	if (!last)
		return false;
	snprintf(addr, sizeof(addr), "%.*s", (int)strspn(last, ".0123456789"),
		 last);
	if (inet_pton(AF_INET, addr, in) != 1)
		return false;
	for (size_t a = 0; a < t->n_addrs; a++)
		if (t->addrs[a].index == i->index && t->addrs[a].family == 4 &&
		    !memcmp(t->addrs[a].addr, in, sizeof(in)))
			return true;
	return false;
}

static bool dhclient_lease(char *text, const struct netif_table *t,
			   const struct netif *i, const char *root)
{
	static const char *const places[] = {
		"/var/lib/dhcp/dhclient.%s.leases",
		"/var/lib/dhclient/dhclient-%s.leases",
		"/var/lib/dhclient/dhclient--%s.lease",
	};
	char path[PATH_CAP];

	for (size_t p = 0; p < sizeof(places) / sizeof(*places); p++) {
		const char *at = strstr(places[p], "%s");

		snprintf(path, sizeof(path), "%.*s%s%s",
			 (int)(at - places[p]), places[p], i->name, at + 2);
		if (read_tail(text, root, path) &&
		    leases_ours(text, "fixed-address ", t, i))
			return true;
	}
	return false;
}

/* internal-UUID-IFNAME.lease and dhclient-UUID-IFNAME.lease */
static bool nm_lease(char *text, const struct netif_table *t,
		     const struct netif *i, const char *root)
{
	char dir[PATH_CAP], path[PATH_CAP], tail[NETIF_NAME + 8];
	bool found = false;
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/var/lib/NetworkManager",
		 root ? root : "");
	snprintf(tail, sizeof(tail), "-%s.lease", i->name);
	d = opendir(dir);
	while (d && !found && (e = readdir(d))) {
		size_t len = strlen(e->d_name), n = strlen(tail);

		snprintf(path, sizeof(path), "/var/lib/NetworkManager/%s",
			 e->d_name);
		if (len <= n || strcmp(e->d_name + len - n, tail) ||
		    !read_tail(text, root, path))
			continue;
		found = leases_ours(text, "ADDRESS=", t, i) ||
			leases_ours(text, "fixed-address ", t, i);
	}
	if (d)
		closedir(d);
	return found;
}

static bool has_dynamic(const struct netif_table *t, const struct netif *i)
{
	for (size_t a = 0; a < t->n_addrs; a++)
		if (t->addrs[a].index == i->index && t->addrs[a].family == 4 &&
		    t->addrs[a].dynamic)
			return true;
	return false;
}

bool ip_info_dhcp(const struct netif_table *t, const struct netif *i,
		  const char *root)
{
	char *text, path[64];
	bool dhcp;

	if (has_dynamic(t, i))
		return true;
	text = malloc(TEXT_MAX);
	if (!text)
		return false;
	snprintf(path, sizeof(path), "/run/systemd/netif/leases/%u", i->index);
	dhcp = read_tail(text, root, path) || dhclient_lease(text, t, i, root) ||
	       nm_lease(text, t, i, root);
	free(text);
	return dhcp;
}

/* DNS -------------------------------------------------------------------- */

/* Append the "nameserver ADDRESS" lines. Returns how many were not systemd's
 * stub resolver on this machine, which means nothing to a host. */
static unsigned add_servers(char *out, size_t limit, char *text)
{
	char *save_line, *line;
	unsigned n = 0;

	for (line = strtok_r(text, "\n", &save_line); line;
	     line = strtok_r(NULL, "\n", &save_line)) {
		char *save, *word = strtok_r(line, " \t\r", &save);
		uint8_t buf[16];

		if (!word || strcmp(word, "nameserver"))
			continue;
		word = strtok_r(NULL, " \t\r", &save);
		if (!word)
			continue;
		word[strcspn(word, "%")] = '\0';	/* a zone is ours alone */
		if (inet_pton(AF_INET, word, buf) != 1 &&
		    inet_pton(AF_INET6, word, buf) != 1)
			continue;
		n += strcmp(word, "127.0.0.53") && strcmp(word, "127.0.0.54");
		if (!list_append(out, limit, word))
			break;
	}
	return n;
}

void ip_info_dns(char *out, size_t limit, const char *root)
{
	char *text = malloc(TEXT_MAX), stub[64];

	out[0] = '\0';
	if (!text)
		return;
	read_tail(text, root, "/etc/resolv.conf");
	if (!add_servers(out, limit, text) && out[0]) {
		snprintf(stub, sizeof(stub), "%s", out);
		out[0] = '\0';
		read_tail(text, root, "/run/systemd/resolve/resolv.conf");
		if (!add_servers(out, limit, text) && !out[0])
			snprintf(out, limit + 1, "%s", stub);
	}
	free(text);
}
