/* lagg/pair.c - candidates, and the choice among them. */
#include "lagg/pair.h"

#include <string.h>

static const struct link *link_of(const struct link *links, size_t n,
				  unsigned ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (links[i].ifindex == ifindex)
			return &links[i];
	return NULL;
}

/* Of one station, and known. */
static bool is_station(const uint8_t mac[LINK_MAC])
{
	static const uint8_t zero[LINK_MAC];

	return memcmp(mac, zero, LINK_MAC) && !(mac[0] & 1);
}

/* A VF that was given another address is the same VF; and hardware that was
 * given the NIC's address, as the ports of a bond are, is none. */
static bool same_mac(const struct pair_nic *nic, const struct link *l)
{
	const uint8_t *mac = l->has_permanent ? l->permanent : l->mac;

	return l->ethernet && is_station(nic->mac) &&
	       !memcmp(mac, nic->mac, LINK_MAC);
}

static bool is_free(const struct link *l, const struct link *links, size_t n)
{
	const struct link *master = link_of(links, n, l->master);

	return !l->master || (master && master->ours);
}

enum pair_why pair_why(const struct pair_nic *nic, const struct link *link,
		       const struct link *links, size_t n,
		       const struct pair_cfg *cfg)
{
	bool both = nic->has_serial && link->has_serial;

	if (link->ours || link->ifindex == nic->ifindex)
		return PAIR_NOT_OURS;
	if (link->kind != LINK_DEVICE && !(link->kind == LINK_VETH && cfg->veth))
		return PAIR_NOT_HARDWARE;
	if (!same_mac(nic, link))
		return PAIR_NOT_OTHER_MAC;
	if (both && nic->serial != link->serial)
		return PAIR_NOT_OTHER_SERIAL;
	if (!is_free(link, links, n))
		return PAIR_NOT_FREE;
	return both ? PAIR_SERIAL : PAIR_MAC;
}

const char *pair_why_text(enum pair_why w)
{
	static const char *const texts[PAIR_N_WHY] = {
		[PAIR_SERIAL] = "same MAC address and serial number",
		[PAIR_MAC] = "same MAC address",
		[PAIR_NOT_OTHER_MAC] = "other MAC address",
		[PAIR_NOT_OTHER_SERIAL] = "other serial number",
		[PAIR_NOT_HARDWARE] = "not hardware",
		[PAIR_NOT_OURS] = "one of our own",
		[PAIR_NOT_FREE] = "port of another interface",
	};

	return texts[w];
}

/* The choice ------------------------------------------------------------- */

static bool is_taken(const struct pair_nic *nics, size_t n_nics,
		     const struct pair_nic *by, unsigned ifindex)
{
	for (size_t i = 0; i < n_nics; i++)
		if (&nics[i] != by && nics[i].vf == ifindex)
			return true;
	return false;
}

static bool better(const struct link *l, enum pair_why why,
		   const struct link *than, enum pair_why than_why)
{
	if (!than || why != than_why)
		return !than || why < than_why;
	return l->ifindex < than->ifindex;
}

/* The best candidate for a NIC that is not `except`, or 0. */
static unsigned best(const struct pair_nic *nics, size_t n_nics,
		     const struct pair_nic *nic, unsigned except,
		     const struct link *links, size_t n,
		     const struct pair_cfg *cfg)
{
	enum pair_why found_why = PAIR_N_WHY;
	const struct link *found = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct link *l = &links[i];
		enum pair_why why = pair_why(nic, l, links, n, cfg);

		if (why > PAIR_MAC || l->ifindex == except ||
		    is_taken(nics, n_nics, nic, l->ifindex) ||
		    !better(l, why, found, found_why))
			continue;
		found = l;
		found_why = why;
	}
	return found ? found->ifindex : 0;
}

static bool still_matches(const struct pair_nic *nic, const struct link *links,
			  size_t n, const struct pair_cfg *cfg)
{
	const struct link *l = link_of(links, n, nic->vf);

	return l && pair_why(nic, l, links, n, cfg) <= PAIR_MAC;
}

/* Those that stay come first, then those that are new, then the spares: a NIC
 * must not take what another has. */
size_t pair_links(struct pair_nic *nics, size_t n_nics,
		  const struct link *links, size_t n_links,
		  const struct pair_cfg *cfg)
{
	size_t changed = 0;

	for (size_t i = 0; i < n_nics; i++) {
		if (!nics[i].vf || still_matches(&nics[i], links, n_links, cfg))
			continue;
		nics[i].vf = 0;
		changed++;
	}
	for (size_t i = 0; i < n_nics; i++) {
		unsigned vf;

		if (nics[i].vf)
			continue;
		vf = best(nics, n_nics, &nics[i], 0, links, n_links, cfg);
		nics[i].vf = vf;
		changed += vf != 0;
	}
	for (size_t i = 0; i < n_nics; i++)
		nics[i].spare = best(nics, n_nics, &nics[i], nics[i].vf, links,
				     n_links, cfg);
	return changed;
}
