// SPDX-License-Identifier: GPL-2.0
/*
 * nl_origin.c - netlink command on the files that pages of a region come from
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "netlink.h"
#include "origin.h"

static const struct nla_policy tp_extent_policy[TELEPAGE_A_EXTENT_MAX + 1] = {
	[TELEPAGE_A_EXTENT_START]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXTENT_COUNT]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXTENT_OFFSET]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXTENT_DIGESTS]	= { .type = NLA_BINARY },
};

const struct nla_policy tp_origin_policy[TELEPAGE_A_ORIGIN_MAX + 1] = {
	[TELEPAGE_A_ORIGIN_REGION]	= { .type = NLA_NUL_STRING, .len = TELEPAGE_NAME_MAX },
	[TELEPAGE_A_ORIGIN_FD]		= { .type = NLA_U32 },
	[TELEPAGE_A_ORIGIN_EXTENT]	= NLA_POLICY_NESTED(tp_extent_policy),
	[TELEPAGE_A_ORIGIN_REPLACE]	= { .type = NLA_FLAG },
	[TELEPAGE_A_ORIGIN_FILL]	= { .type = NLA_FLAG },
	[TELEPAGE_A_ORIGIN_HOLD]	= { .type = NLA_FLAG },
	[TELEPAGE_A_ORIGIN_DROP]	= NLA_POLICY_NESTED(tp_extent_policy),
	[TELEPAGE_A_ORIGIN_READY]	= { .type = NLA_FLAG },
	[TELEPAGE_A_ORIGIN_PLANNED]	= { .type = NLA_U64 },
};

/* The pages that a nest names, all of them the region's; its attributes in @a. */
static int tp_nl_run(struct nlattr *nest, const struct tp_region *r, struct genl_info *info,
		     struct nlattr **a, u64 *start, u64 *count)
{
	int err = nla_parse_nested(a, TELEPAGE_A_EXTENT_MAX, nest, tp_extent_policy, info->extack);

	if (err)
		return err;
	if (!a[TELEPAGE_A_EXTENT_START] || !a[TELEPAGE_A_EXTENT_COUNT])
		return tp_nl_invalid(info, "pages are named by start and count");
	*start = nla_get_u64(a[TELEPAGE_A_EXTENT_START]);
	*count = nla_get_u64(a[TELEPAGE_A_EXTENT_COUNT]);
	if (!*count || *start >= r->nr_pages || *count > r->nr_pages - *start) {
		NL_SET_ERR_MSG(info->extack, "an extent is empty or not within the region");
		return -ERANGE;
	}
	return 0;
}

static struct tp_extent *tp_nl_extent(struct nlattr *nest, const struct tp_region *r,
				      struct genl_info *info)
{
	struct nlattr *a[TELEPAGE_A_EXTENT_MAX + 1], *digests;
	u64 start, count;
	int err = tp_nl_run(nest, r, info, a, &start, &count);

	if (err)
		return ERR_PTR(err);
	if (!a[TELEPAGE_A_EXTENT_OFFSET])
		return ERR_PTR(tp_nl_invalid(info, "an extent needs its offset in the file"));
	digests = a[TELEPAGE_A_EXTENT_DIGESTS];
	if (digests && nla_len(digests) != count * TELEPAGE_DIGEST_SIZE)
		return ERR_PTR(tp_nl_invalid(info, "a digest is 32 bytes for each page"));
	return tp_extent_new(start, count, nla_get_u64(a[TELEPAGE_A_EXTENT_OFFSET]),
			     digests ? nla_data(digests) : NULL) ?: ERR_PTR(-ENOMEM);
}

/* An attribute that comes several times is in no table. */
static int tp_nl_extents(struct genl_info *info, const struct tp_region *r,
			 struct tp_extent **extents)
{
	struct nlattr *nla;
	int rest, n = 0;

	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rest) {
		struct tp_extent *e;

		if (nla_type(nla) != TELEPAGE_A_ORIGIN_EXTENT)
			continue;
		e = n == TP_EXTENT_MAX ? ERR_PTR(tp_nl_invalid(info, "more than 4096 extents")) :
					 tp_nl_extent(nla, r, info);
		if (IS_ERR(e)) {
			while (n)
				tp_extent_free(extents[--n]);
			return PTR_ERR(e);
		}
		extents[n++] = e;
	}
	return tp_extents_join(extents, n);
}

static int tp_do_add(struct tp_region *r, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	struct tp_extent **extents;
	struct file *file;
	int n, err;

	if (!a[TELEPAGE_A_ORIGIN_FD])
		return tp_nl_invalid(info, "extents need the descriptor of their file");
	file = fget(nla_get_u32(a[TELEPAGE_A_ORIGIN_FD]));
	if (!file) {
		NL_SET_ERR_MSG(info->extack, "there is no such descriptor");
		return -EBADF;
	}
	extents = kvcalloc(TP_EXTENT_MAX, sizeof(*extents), GFP_KERNEL);
	err = -ENOMEM;
	if (!extents)
		goto out;
	n = tp_nl_extents(info, r, extents);
	err = n < 0 ? n : tp_origin_add(r, file, extents, n,
					nla_get_flag(a[TELEPAGE_A_ORIGIN_REPLACE]), info->extack);
	while (err && n > 0)
		tp_extent_free(extents[--n]);
	kvfree(extents);
out:
	fput(file);
	return err;
}

/* All runs are looked at before the first is dropped. */
static int tp_do_drop(struct tp_region *r, struct genl_info *info, bool look)
{
	struct nlattr *a[TELEPAGE_A_EXTENT_MAX + 1], *nla;
	u64 start, count;
	int rest, err;

	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rest) {
		if (nla_type(nla) != TELEPAGE_A_ORIGIN_DROP)
			continue;
		err = tp_nl_run(nla, r, info, a, &start, &count);
		if (!err && !look)
			err = tp_plan_drop(r, start, count);
		if (err)
			return err;
	}
	return 0;
}

/* Of a message that is refused nothing is done, unless there was no memory half-way. */
static int tp_check_origin(struct tp_region *r, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	const struct tp_plan_ask ask = {
		.hold = a[TELEPAGE_A_ORIGIN_HOLD],
		.add = a[TELEPAGE_A_ORIGIN_EXTENT],
		.drop = a[TELEPAGE_A_ORIGIN_DROP],
		.ready = a[TELEPAGE_A_ORIGIN_READY],
		.planned = a[TELEPAGE_A_ORIGIN_PLANNED],
		.fill = a[TELEPAGE_A_ORIGIN_FILL],
	};

	if (!ask.hold && !ask.add && !ask.drop && !ask.ready && !ask.planned && !ask.fill)
		return tp_nl_invalid(info, "neither an extent nor anything else is asked for");
	return tp_plan_check(r, &ask, info->extack) ?: tp_do_drop(r, info, true);
}

/* In the order in which one after the other makes sense. */
static int tp_do_origin(struct tp_region *r, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	bool was_held = r->origin && r->origin->held;
	int err = tp_check_origin(r, info);

	if (!err && a[TELEPAGE_A_ORIGIN_HOLD])
		err = tp_plan_hold(r, genl_info_net(info), info->snd_portid, info->extack);
	if (err)
		return err;
	if (a[TELEPAGE_A_ORIGIN_EXTENT])
		err = tp_do_add(r, info);
	if (err && a[TELEPAGE_A_ORIGIN_HOLD] && !was_held)
		tp_plan_unhold(r);
	if (!err && a[TELEPAGE_A_ORIGIN_DROP])
		err = tp_do_drop(r, info, false);
	if (err)
		return err;
	if (a[TELEPAGE_A_ORIGIN_READY])
		tp_plan_ready(r);
	if (a[TELEPAGE_A_ORIGIN_PLANNED])
		tp_plan_planned(r, nla_get_u64(a[TELEPAGE_A_ORIGIN_PLANNED]));
	if (a[TELEPAGE_A_ORIGIN_FILL])
		tp_origin_fill(r);
	return 0;
}

int tp_nl_region_origin(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_with_region(info, TELEPAGE_A_ORIGIN_REGION, tp_do_origin);
}
