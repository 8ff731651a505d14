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
};

static struct tp_extent *tp_nl_extent(struct nlattr *nest, const struct tp_region *r,
				      struct genl_info *info)
{
	struct nlattr *a[TELEPAGE_A_EXTENT_MAX + 1], *digests;
	u64 start, count;
	int err = nla_parse_nested(a, TELEPAGE_A_EXTENT_MAX, nest, tp_extent_policy, info->extack);

	if (err)
		return ERR_PTR(err);
	if (!a[TELEPAGE_A_EXTENT_START] || !a[TELEPAGE_A_EXTENT_COUNT] ||
	    !a[TELEPAGE_A_EXTENT_OFFSET])
		return ERR_PTR(tp_nl_invalid(info, "an extent needs start, count and offset"));
	start = nla_get_u64(a[TELEPAGE_A_EXTENT_START]);
	count = nla_get_u64(a[TELEPAGE_A_EXTENT_COUNT]);
	digests = a[TELEPAGE_A_EXTENT_DIGESTS];
	if (!count || start >= r->nr_pages || count > r->nr_pages - start) {
		NL_SET_ERR_MSG(info->extack, "an extent is empty or not within the region");
		return ERR_PTR(-ERANGE);
	}
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
	return n;
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

static int tp_do_origin(struct tp_region *r, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	int err = 0;

	if (!a[TELEPAGE_A_ORIGIN_EXTENT] && !a[TELEPAGE_A_ORIGIN_FILL])
		return tp_nl_invalid(info, "neither an extent nor FILL is given");
	if (a[TELEPAGE_A_ORIGIN_EXTENT])
		err = tp_do_add(r, info);
	if (!err && a[TELEPAGE_A_ORIGIN_FILL])
		err = tp_origin_fill(r, info->extack);
	return err;
}

int tp_nl_region_origin(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_with_region(info, TELEPAGE_A_ORIGIN_REGION, tp_do_origin);
}
