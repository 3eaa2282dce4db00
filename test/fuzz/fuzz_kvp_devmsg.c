/* test/fuzz/fuzz_kvp_devmsg.c - both ends of the device file.
 *
 * Byte 0 of the input: bit 0 the form, bit 1 pad the rest with zeros to the
 * form's size (so that short inputs reach the fields), bit 2 legacy. The rest
 * is the message. What one side accepts must come out the same after it was
 * encoded and decoded again. */
#include "kvp/kvp_devmsg.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void check_request(enum kvp_form form, const uint8_t *buf, size_t len)
{
	uint8_t again[KVP_DEVMSG_MAX];
	struct kvp_msg m, back;

	if (kvp_devmsg_get_request(&m, form, buf, len) < 0)
		return;
	kvp_devmsg_put_request(again, form, &m);
	need(!kvp_devmsg_get_request(&back, form, again, kvp_devmsg_size(form)));
	need(!memcmp(&m, &back, sizeof(m)));
}

static void check_answer(enum kvp_form form, bool legacy, uint8_t op,
			 const uint8_t *buf, size_t len)
{
	struct kvp_msg request = { .op = op }, m, back;
	uint8_t again[KVP_DEVMSG_MAX];

	if (kvp_devmsg_get_answer(&m, form, legacy, &request, buf, len) < 0)
		return;
	kvp_devmsg_put_answer(again, form, &m);
	need(!kvp_devmsg_get_answer(&back, form, false, &request, again,
				    kvp_devmsg_size(form)));
	need(!memcmp(&m, &back, sizeof(m)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char version[KVP_VERSION_SIZE];
	enum kvp_form form, registered;
	uint8_t *msg, op;
	size_t len;

	if (!size)
		return 0;
	form = data[0] & 1 ? KVP_FORM_FREEBSD : KVP_FORM_LINUX;
	len = size - 1;
	if (data[0] & 2 && len < kvp_devmsg_size(form))
		len = kvp_devmsg_size(form);
	msg = calloc(1, len ? len : 1);
	if (!msg)
		return 0;
	memcpy(msg, data + 1, size - 1);

	check_request(form, msg, len);
	for (op = 0; op <= KVP_N_OPS; op++)
		check_answer(form, data[0] & 4, op, msg, len);
	(void)kvp_devmsg_get_register(&registered, &op, msg, len);
	(void)kvp_devmsg_get_version(version, msg, len);
	free(msg);
	return 0;
}
