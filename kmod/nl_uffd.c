// SPDX-License-Identifier: GPL-2.0
/*
 * nl_uffd.c - netlink commands on bridges
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include "netlink.h"
#include "uffd.h"

const struct nla_policy tp_uffd_policy[TELEPAGE_A_UFFD_MAX + 1] = {
	[TELEPAGE_A_UFFD_REGION]	= { .type = NLA_NUL_STRING, .len = TELEPAGE_NAME_MAX },
	[TELEPAGE_A_UFFD_FD]		= { .type = NLA_U32 },
	[TELEPAGE_A_UFFD_PID]		= { .type = NLA_U32 },
	[TELEPAGE_A_UFFD_MEMFD]		= { .type = NLA_U32 },
	[TELEPAGE_A_UFFD_FILL]		= NLA_POLICY_MAX(NLA_U8, 1),
	[TELEPAGE_A_UFFD_RANGES]	= NLA_POLICY_NESTED(tp_range_policy),
};

static int tp_nl_range(struct nlattr *nest, struct tp_uffd_range *rg, struct genl_info *info)
{
	struct nlattr *a[TELEPAGE_A_RANGE_MAX + 1];
	int err = nla_parse_nested(a, TELEPAGE_A_RANGE_MAX, nest, tp_range_policy, info->extack);

	if (err)
		return err;
	if (!a[TELEPAGE_A_RANGE_ADDR] || !a[TELEPAGE_A_RANGE_LEN] || !a[TELEPAGE_A_RANGE_OFFSET])
		return tp_nl_invalid(info, "a range needs an address, a length and an offset");
	rg->addr = nla_get_u64(a[TELEPAGE_A_RANGE_ADDR]);
	rg->len = nla_get_u64(a[TELEPAGE_A_RANGE_LEN]);
	rg->offset = nla_get_u64(a[TELEPAGE_A_RANGE_OFFSET]);
	rg->page_size = TELEPAGE_PAGE_SIZE;
	if (a[TELEPAGE_A_RANGE_PAGE_SIZE])
		rg->page_size = nla_get_u32(a[TELEPAGE_A_RANGE_PAGE_SIZE]);
	rg->memfd_offset = rg->offset;
	if (a[TELEPAGE_A_RANGE_MEMFD_OFFSET])
		rg->memfd_offset = nla_get_u64(a[TELEPAGE_A_RANGE_MEMFD_OFFSET]);
	return 0;
}

/* An attribute that comes several times is in no table. */
static int tp_nl_ranges(struct genl_info *info, struct tp_uffd_range *ranges)
{
	struct nlattr *nla;
	int rest, err, n = 0;

	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rest) {
		if (nla_type(nla) != TELEPAGE_A_UFFD_RANGES)
			continue;
		if (n == TELEPAGE_RANGE_MAX)
			return tp_nl_invalid(info, "more than 64 ranges");
		err = tp_nl_range(nla, &ranges[n], info);
		if (err)
			return err;
		n++;
	}
	return n;
}

static int tp_nl_uffd_do(struct genl_info *info,
			 int (*fn)(struct tp_region *r, struct genl_info *info))
{
	return tp_nl_with_region(info, TELEPAGE_A_UFFD_REGION, fn);
}

/* The region, if a VMM could be attached to it now, with a reference. */
static int tp_do_may_attach(struct tp_region *r, struct genl_info *info)
{
	int err = tp_uffd_may_attach(r, info->extack);

	if (!err) {
		tp_region_get(r);
		info->user_ptr[0] = r;
	}
	return err;
}

static int tp_do_attach(struct tp_region *r, struct genl_info *info)
{
	struct tp_uffd *u = info->user_ptr[1];

	if (u->region != r) {
		NL_SET_ERR_MSG(info->extack, "the region was deleted meanwhile");
		return -ENOENT;
	}
	return tp_uffd_attach(r, u, info->extack);
}

/* The VMM may keep who looks at it waiting: nobody else, so not under tp_ctl_mutex. */
static int tp_nl_attach(struct genl_info *info, const struct tp_uffd_args *args)
{
	int err = tp_nl_uffd_do(info, tp_do_may_attach);
	struct tp_region *r;
	struct tp_uffd *u;

	if (err)
		return err;
	r = info->user_ptr[0];
	u = tp_uffd_prepare(r, args, info->extack);
	err = PTR_ERR_OR_ZERO(u);
	if (!err) {
		info->user_ptr[1] = u;
		err = tp_nl_uffd_do(info, tp_do_attach);
		if (err)
			tp_uffd_cancel_new(u);
	}
	tp_region_put(r);
	return err;
}

int tp_nl_uffd_attach(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	struct tp_uffd_args args = { .fill = true };
	struct tp_uffd_range *ranges;
	int n;

	if (!a[TELEPAGE_A_UFFD_FD] || !a[TELEPAGE_A_UFFD_PID] || !a[TELEPAGE_A_UFFD_RANGES])
		return tp_nl_invalid(info, "attaching needs a descriptor, a process and ranges");
	args.fd = nla_get_u32(a[TELEPAGE_A_UFFD_FD]);
	args.pid = nla_get_u32(a[TELEPAGE_A_UFFD_PID]);
	args.has_memfd = a[TELEPAGE_A_UFFD_MEMFD];
	if (args.has_memfd)
		args.memfd = nla_get_u32(a[TELEPAGE_A_UFFD_MEMFD]);
	if (a[TELEPAGE_A_UFFD_FILL])
		args.fill = nla_get_u8(a[TELEPAGE_A_UFFD_FILL]);
	ranges = kcalloc(TELEPAGE_RANGE_MAX, sizeof(*ranges), GFP_KERNEL);
	if (!ranges)
		return -ENOMEM;
	n = tp_nl_ranges(info, ranges);
	if (n > 0) {
		args.ranges = ranges;
		args.nr_ranges = n;
		n = tp_nl_attach(info, &args);
	}
	kfree(ranges);
	return n;
}

static int tp_do_detach(struct tp_region *r, struct genl_info *info)
{
	struct tp_uffd *u = tp_uffd_detach(r, info->extack);

	info->user_ptr[0] = u;
	return PTR_ERR_OR_ZERO(u);
}

int tp_nl_uffd_detach(struct sk_buff *skb, struct genl_info *info)
{
	int err = tp_nl_uffd_do(info, tp_do_detach);

	if (!err) {
		tp_uffd_end(info->user_ptr[0], "detached");
		tp_uffd_put(info->user_ptr[0]);
	}
	return err;
}

static int tp_nl_fill_range(struct sk_buff *skb, const struct tp_uffd_range *rg)
{
	struct nlattr *nest = nla_nest_start(skb, TELEPAGE_A_UFFD_RANGES);

	if (!nest ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_RANGE_ADDR, rg->addr, TELEPAGE_A_RANGE_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_RANGE_LEN, rg->len, TELEPAGE_A_RANGE_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_RANGE_OFFSET, rg->offset, TELEPAGE_A_RANGE_PAD) ||
	    nla_put_u32(skb, TELEPAGE_A_RANGE_PAGE_SIZE, rg->page_size))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int tp_nl_fill_counters(struct sk_buff *skb, const struct tp_uffd_counters *c)
{
	const u64 v[] = {
		READ_ONCE(c->faults), READ_ONCE(c->copied), READ_ONCE(c->continued),
		READ_ONCE(c->zero), READ_ONCE(c->removed), READ_ONCE(c->retried),
		READ_ONCE(c->failed),
	};
	int i;

	/* the attributes are numbered in this order */
	BUILD_BUG_ON(TELEPAGE_A_UFFD_FAILED - TELEPAGE_A_UFFD_FAULTS + 1 != ARRAY_SIZE(v));
	for (i = 0; i < ARRAY_SIZE(v); i++)
		if (nla_put_u64_64bit(skb, TELEPAGE_A_UFFD_FAULTS + i, v[i],
				      TELEPAGE_A_UFFD_PAD))
			return -EMSGSIZE;
	return 0;
}

/* A VMM can cut its layout into any number of ranges: only so many are told. */
static int tp_nl_fill_uffd(struct sk_buff *skb, void *obj)
{
	struct tp_region *r = obj;
	struct tp_uffd *u = r->uffd;
	struct tp_uffd_fd *f;
	unsigned int i;
	int err = 0;

	lockdep_assert_held(&tp_ctl_mutex);
	if (nla_put_string(skb, TELEPAGE_A_UFFD_REGION, r->name) ||
	    nla_put_u32(skb, TELEPAGE_A_UFFD_PID, u->pid_nr) ||
	    nla_put_u8(skb, TELEPAGE_A_UFFD_FILL, READ_ONCE(u->fill)) ||
	    nla_put_u32(skb, TELEPAGE_A_UFFD_DESCRIPTORS, READ_ONCE(u->nr_fds)))
		return -EMSGSIZE;
	err = tp_nl_fill_counters(skb, &u->count);
	mutex_lock(&u->lock);
	f = list_first_entry(&u->fds, struct tp_uffd_fd, node);
	for (i = 0; !err && i < f->nr_ranges && i < TELEPAGE_RANGE_MAX; i++)
		err = tp_nl_fill_range(skb, &f->ranges[i]);
	mutex_unlock(&u->lock);
	return err;
}

static int tp_do_get(struct tp_region *r, struct genl_info *info)
{
	if (!r->uffd) {
		NL_SET_ERR_MSG(info->extack, "no VMM is attached to the region");
		return -ENOENT;
	}
	/* 64 ranges of 48 bytes with room to spare */
	return tp_nl_reply(info, 8192, tp_nl_fill_uffd, r);
}

int tp_nl_uffd_get(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_uffd_do(info, tp_do_get);
}

int tp_nl_uffd_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct tp_region *r;
	int err = 0;

	if (mutex_lock_killable(&tp_ctl_mutex))
		return -EINTR;
	while (!err && (r = tp_region_next(cb->args[0]))) {
		if (r->uffd)
			err = tp_nl_dump_one(skb, cb, TELEPAGE_CMD_UFFD_GET, tp_nl_fill_uffd, r);
		if (!err)
			cb->args[0] = r->id;
		tp_region_put(r);
	}
	mutex_unlock(&tp_ctl_mutex);
	return skb->len;
}
