// SPDX-License-Identifier: GPL-2.0
/*
 * handshake.c - how a VMM says where its memory lies: the message
 *
 * The VMM is less trusted than whoever runs it: what it says is checked here, so that
 * what is wrong is said in its own words, and once more by the kernel.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "handshake.h"
#include "parse.h"

#define HUGE	(2U << 20)

const char handshake_incomplete[] = "the message is no JSON array of ranges";

static bool get_u64(const json_t *o, const char *key, uint64_t *v)
{
	const json_t *n = json_object_get(o, key);

	if (!json_is_integer(n) || json_integer_value(n) < 0)
		return false;
	*v = json_integer_value(n);
	return true;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

const char *ranges_check(const struct tp_uffd_range *ranges, size_t nr, uint64_t region_size)
{
	if (!nr)
		return "there are no ranges";
	if (nr > TELEPAGE_RANGE_MAX)
		return "there are more than 64 ranges";
	for (size_t i = 0; i < nr; i++) {
		const struct tp_uffd_range *r = &ranges[i];

		if (r->page_size != TELEPAGE_PAGE_SIZE && r->page_size != HUGE)
			return "pages of other sizes than 4096 and 2097152 bytes are not supported";
		if (!r->len)
			return "a range is empty";
		if (r->addr % r->page_size || r->len % r->page_size)
			return "the address or size of a range is no multiple of its page size";
		if (r->offset % TELEPAGE_PAGE_SIZE)
			return "the offset of a range is no multiple of 4096";
		if (r->addr + r->len < r->addr)
			return "a range reaches beyond the end of the address space";
		if (r->len > region_size || r->offset > region_size - r->len)
			return "a range reaches beyond the end of the region";
		for (size_t k = 0; k < i; k++) {
			if (overlap(r->addr, r->len, ranges[k].addr, ranges[k].len))
				return "two ranges overlap in the VMM";
			if (overlap(r->offset, r->len, ranges[k].offset, ranges[k].len))
				return "two ranges overlap in the region";
		}
	}
	return NULL;
}

static const char *parse_range(const json_t *o, struct tp_uffd_range *r)
{
	uint64_t page_size = TELEPAGE_PAGE_SIZE;

	if (!json_is_object(o))
		return "a range is no JSON object";
	if (!get_u64(o, "base_host_virt_addr", &r->addr))
		return "a range has no base_host_virt_addr, or it is no number";
	if (!get_u64(o, "size", &r->len))
		return "a range has no size, or it is no number";
	if (!get_u64(o, "offset", &r->offset))
		return "a range has no offset, or it is no number";
	if (json_object_get(o, "page_size")) {
		if (!get_u64(o, "page_size", &page_size))
			return "page_size is no number";
	} else if (json_object_get(o, "page_size_kib")) {
		if (!get_u64(o, "page_size_kib", &page_size))
			return "page_size_kib is no number";
	}
	if (page_size > HUGE)
		page_size = 0;		/* too large for the field, refused all the same */
	r->page_size = page_size;
	r->memfd_offset = r->offset;
	return NULL;
}

const char *handshake_parse(const char *json, size_t len, uint64_t region_size,
			    struct tp_uffd_range *ranges, size_t *nr)
{
	const char *bad = NULL;
	json_t *list;
	size_t i;

	*nr = 0;
	list = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_array(list)) {
		json_decref(list);
		return handshake_incomplete;
	}
	if (json_array_size(list) > TELEPAGE_RANGE_MAX)
		bad = "there are more than 64 ranges";
	for (i = 0; !bad && i < json_array_size(list); i++)
		bad = parse_range(json_array_get(list, i), &ranges[i]);
	json_decref(list);
	if (!bad)
		bad = ranges_check(ranges, i, region_size);
	if (!bad)
		*nr = i;
	return bad;
}

/* decimal, or hexadecimal as in /proc/PID/maps */
static bool number(const char *s, uint64_t *v)
{
	char *end;

	if (strncmp(s, "0x", 2) != 0)
		return tp_parse_size(s, v);
	if (!s[2] || strspn(s + 2, "0123456789abcdefABCDEF") != strlen(s + 2) || strlen(s) > 18)
		return false;
	*v = strtoull(s, &end, 16);
	return true;
}

bool range_parse(const char *s, struct tp_uffd_range *r)
{
	uint64_t v[4] = { 0, 0, 0, TELEPAGE_PAGE_SIZE };
	char buf[128], *p = buf, *word;
	size_t n = 0;

	if (strlen(s) >= sizeof(buf))
		return false;
	memcpy(buf, s, strlen(s) + 1);
	while ((word = strsep(&p, ",")))
		if (n == 4 || !number(word, &v[n++]))
			return false;
	if (n < 3 || v[3] > HUGE)
		return false;
	*r = (struct tp_uffd_range){ .addr = v[0], .len = v[1], .offset = v[2],
				     .memfd_offset = v[2], .page_size = v[3] };
	return true;
}
