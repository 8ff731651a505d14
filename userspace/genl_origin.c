// SPDX-License-Identifier: GPL-2.0
/*
 * genl_origin.c - the files that pages of a region come from
 */
#include <assert.h>
#include <string.h>

#include <linux/netlink.h>

#include "genl_sock.h"

#define EXTENTS_MAX	512		/* in one message, */
#define DIGESTS_MAX	1024		/* and of these: 32 KiB, half of what an attribute holds */
/* Both and what is around them; libnl's sockets do not send more than twice 32 KiB. */
#define MESSAGE_MAX	(60 * 1024)

struct attr64 {
	struct nlattr nla;
	uint64_t value;
} __attribute__((packed));

struct extent {
	struct attr64 start, count, offset;
	struct nlattr digests;
	uint8_t digest[DIGESTS_MAX * TELEPAGE_DIGEST_SIZE];
} __attribute__((packed));

static_assert(EXTENTS_MAX * (sizeof(struct nlattr) + offsetof(struct extent, digest)) +
	      DIGESTS_MAX * TELEPAGE_DIGEST_SIZE < MESSAGE_MAX - 1024, "a full message fits");

static struct attr64 attr64(int type, uint64_t value)
{
	return (struct attr64){ { sizeof(struct attr64), type }, value };
}

static void put_extent(struct nl_msg **msg, const struct tp_extent *e)
{
	size_t len = offsetof(struct extent, digests);
	struct extent x;		/* large: only what is sent is set */

	x.start = attr64(TELEPAGE_A_EXTENT_START, e->start);
	x.count = attr64(TELEPAGE_A_EXTENT_COUNT, e->count);
	x.offset = attr64(TELEPAGE_A_EXTENT_OFFSET, e->offset);
	if (e->digests) {
		size_t bytes = e->count * TELEPAGE_DIGEST_SIZE;

		x.digests = (struct nlattr){ sizeof(x.digests) + bytes, TELEPAGE_A_EXTENT_DIGESTS };
		memcpy(x.digest, e->digests, bytes);
		len = offsetof(struct extent, digest) + bytes;
	}
	tp_nl_put(msg, TELEPAGE_A_ORIGIN_EXTENT | NLA_F_NESTED, &x, len);
}

/* the first pages of @e, as many as there is @room for digests; the rest stays in it */
static struct tp_extent bite(struct tp_extent *e, size_t room)
{
	struct tp_extent first = *e;

	if (e->digests && first.count > room)
		first.count = room;
	e->start += first.count;
	e->offset += first.count * TELEPAGE_PAGE_SIZE;
	e->count -= first.count;
	if (e->digests)
		e->digests += first.count * TELEPAGE_DIGEST_SIZE;
	return first;
}

static struct nl_msg *origin_request(struct tp_nl *nl, const char *name)
{
	struct nl_msg *msg = tp_nl_request_of(nl, TELEPAGE_CMD_REGION_ORIGIN, NLM_F_ACK,
					      MESSAGE_MAX);

	tp_nl_put_string(&msg, TELEPAGE_A_ORIGIN_REGION, name);
	return msg;
}

int tp_region_origin(struct tp_nl *nl, const char *name, int fd, const struct tp_extent *extents,
		     size_t nr, bool replace, bool fill)
{
	struct tp_extent left = { 0 };
	size_t i = 0;
	int err;

	do {
		struct nl_msg *msg = origin_request(nl, name);
		size_t n = 0, digests = 0;

		if (nr)
			tp_nl_put_u32(&msg, TELEPAGE_A_ORIGIN_FD, fd);
		if (replace)
			tp_nl_put(&msg, TELEPAGE_A_ORIGIN_REPLACE, NULL, 0);
		for (; n < EXTENTS_MAX && digests < DIGESTS_MAX && (left.count || i < nr); n++) {
			struct tp_extent e;

			if (!left.count)
				left = extents[i++];
			e = bite(&left, DIGESTS_MAX - digests);
			put_extent(&msg, &e);
			if (e.digests)
				digests += e.count;
		}
		if (fill && !left.count && i == nr)
			tp_nl_put(&msg, TELEPAGE_A_ORIGIN_FILL, NULL, 0);
		err = tp_nl_transact(nl, msg, NULL, NULL);
	} while (!err && (left.count || i < nr));
	return err;
}

int tp_plan_hold(struct tp_nl *nl, const char *name)
{
	struct nl_msg *msg = origin_request(nl, name);

	tp_nl_put(&msg, TELEPAGE_A_ORIGIN_HOLD, NULL, 0);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_plan_drop(struct tp_nl *nl, const char *name, const struct tp_extent *runs, size_t nr)
{
	int err = 0;

	while (nr && !err) {
		struct nl_msg *msg = origin_request(nl, name);
		size_t n = nr < EXTENTS_MAX ? nr : EXTENTS_MAX;

		for (size_t i = 0; i < n; i++) {
			struct attr64 run[2] = {
				attr64(TELEPAGE_A_EXTENT_START, runs[i].start),
				attr64(TELEPAGE_A_EXTENT_COUNT, runs[i].count),
			};

			tp_nl_put(&msg, TELEPAGE_A_ORIGIN_DROP | NLA_F_NESTED, run, sizeof(run));
		}
		err = tp_nl_transact(nl, msg, NULL, NULL);
		runs += n;
		nr -= n;
	}
	return err;
}

int tp_plan_ready(struct tp_nl *nl, const char *name)
{
	struct nl_msg *msg = origin_request(nl, name);

	tp_nl_put(&msg, TELEPAGE_A_ORIGIN_READY, NULL, 0);
	tp_nl_put(&msg, TELEPAGE_A_ORIGIN_FILL, NULL, 0);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_plan_planned(struct tp_nl *nl, const char *name, uint64_t pages)
{
	struct nl_msg *msg = origin_request(nl, name);

	tp_nl_put_u64(&msg, TELEPAGE_A_ORIGIN_PLANNED, pages);
	return tp_nl_transact(nl, msg, NULL, NULL);
}
