/* ic/ic_services.c - the table of services: where is message X handled? The
 * class GUID of a channel picks the row, prog/utilsd_bus.c leads it to its
 * driver. */
#include "ic/ic.h"

#define V HV_IC_VERSION

/* Framework 1.0 is Server 2008's, 3.0 came with 2008 R2. */
static const uint32_t frameworks[] = { V(3, 0), V(1, 0), 0 };

/* 5.0 brought the binary IP form, which a host then insists on. */
static const uint32_t kvp_versions[] = { V(5, 0), V(4, 0), V(3, 0), 0 };

/* 5.0 brought FREEZE and THAW, 6.0 a question about clusters, which we have no
 * answer to; of 7.0 nothing is known that a guest has to do. */
static const uint32_t vss_versions[] = {
	V(7, 0), V(6, 0), V(5, 0), V(4, 0), 0
};

static const struct ic_service services[] = {
	{
		.name = "kvp", .type = HV_IC_KVP,
		.class_id = &guid_class_kvp,
		.frameworks = frameworks, .versions = kvp_versions,
		.body_min = 2,			/* operation and pool */
		.ring_len = 20480,		/* an IP message takes 7480 */
	},
	{
		.name = "vss", .type = HV_IC_VSS,
		.class_id = &guid_class_vss,
		.frameworks = frameworks, .versions = vss_versions,
		.body_min = 8,			/* operation, reserved bytes */
		.ring_len = 20480,		/* a list of LUNs takes 12500 */
	},
};

const struct ic_service *ic_service_of(const struct guid *class_id)
{
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (guid_equal(class_id, services[i].class_id))
			return &services[i];
	return NULL;
}
