// SPDX-License-Identifier: GPL-2.0
/*
 * nl_process.c - exports of processes in netlink's words
 */
#include <linux/file.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include "netlink.h"
#include "process.h"
#include "telepage.h"

const struct nla_policy tp_range_policy[TELEPAGE_A_RANGE_MAX + 1] = {
	[TELEPAGE_A_RANGE_ADDR]		= { .type = NLA_U64 },
	[TELEPAGE_A_RANGE_LEN]		= { .type = NLA_U64 },
	[TELEPAGE_A_RANGE_OFFSET]	= { .type = NLA_U64 },
	[TELEPAGE_A_RANGE_PAGE_SIZE]	= { .type = NLA_U32 },
	[TELEPAGE_A_RANGE_MEMFD_OFFSET]	= { .type = NLA_U64 },
};

static int tp_nl_ranges(struct genl_info *info, struct tp_mm_ask *ask)
{
	struct nlattr *tb[TELEPAGE_A_RANGE_MAX + 1];
	const struct nlattr *a;
	int rem, err;

	/* info->attrs has the last one only */
	nla_for_each_attr(a, genlmsg_data(info->genlhdr), genlmsg_len(info->genlhdr), rem) {
		if (nla_type(a) != TELEPAGE_A_EXPORT_RANGE)
			continue;
		if (ask->nr == TELEPAGE_RANGE_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack, a, "an export has at most 64 ranges");
			return -E2BIG;
		}
		err = nla_parse_nested(tb, TELEPAGE_A_RANGE_MAX, a, tp_range_policy, info->extack);
		if (err)
			return err;
		if (!tb[TELEPAGE_A_RANGE_ADDR] || !tb[TELEPAGE_A_RANGE_LEN]) {
			NL_SET_ERR_MSG_ATTR(info->extack, a, "a range has an address and a length");
			return -EINVAL;
		}
		ask->range[ask->nr].addr = nla_get_u64(tb[TELEPAGE_A_RANGE_ADDR]);
		ask->range[ask->nr].len = nla_get_u64(tb[TELEPAGE_A_RANGE_LEN]);
		ask->range[ask->nr].attr = a;
		ask->nr++;
	}
	return 0;
}

/**
 * tp_nl_process - take the memory of the process that EXPORT_NEW names
 * @skb: the message: whose sender has which capabilities
 * @info: the message
 *
 * Context: the sender's; sleeps, not under tp_ctl_mutex.
 * Return: as tp_mm_new(), and -EBADF.
 */
struct tp_mm *tp_nl_process(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	struct tp_mm_ask *ask;
	struct tp_mm *m;
	int err;

	ask = kzalloc(sizeof(*ask), GFP_KERNEL);
	if (!ask)
		return ERR_PTR(-ENOMEM);
	err = tp_nl_ranges(info, ask);
	if (!err && a[TELEPAGE_A_EXPORT_MEM_FD]) {
		ask->proof = fget(nla_get_u32(a[TELEPAGE_A_EXPORT_MEM_FD]));
		if (!ask->proof) {
			NL_SET_ERR_MSG_ATTR(info->extack, a[TELEPAGE_A_EXPORT_MEM_FD],
					    "there is no such descriptor");
			err = -EBADF;
		}
	}
	ask->admin = netlink_capable(skb, CAP_SYS_ADMIN);
	/* in the sender's own numbers; a number that no process has gives NULL */
	ask->pid = find_get_pid(nla_get_u32(a[TELEPAGE_A_EXPORT_PID]));
	m = err ? ERR_PTR(err) : tp_mm_new(ask, info->extack);
	put_pid(ask->pid);
	if (ask->proof)
		fput(ask->proof);
	kfree(ask);
	return m;
}

/**
 * tp_nl_fill_process - put what an export has of a process
 * @skb: into this message
 * @m: the memory
 *
 * Return: 0 or -EMSGSIZE.
 */
int tp_nl_fill_process(struct sk_buff *skb, const struct tp_mm *m)
{
	unsigned int i;

	/* as the reader counts them; 0: not in his namespace */
	if (nla_put_u32(skb, TELEPAGE_A_EXPORT_PID, pid_vnr(m->pid)) ||
	    (READ_ONCE(m->lost) && nla_put_flag(skb, TELEPAGE_A_EXPORT_LOST)))
		return -EMSGSIZE;
	for (i = 0; i < m->nr; i++) {
		const struct tp_mm_range *r = &m->range[i];
		struct nlattr *nest = nla_nest_start(skb, TELEPAGE_A_EXPORT_RANGE);

		if (!nest || nla_put_u64_64bit(skb, TELEPAGE_A_RANGE_ADDR, r->addr,
					       TELEPAGE_A_RANGE_PAD) ||
		    nla_put_u64_64bit(skb, TELEPAGE_A_RANGE_LEN, (u64)r->nr_pages << PAGE_SHIFT,
				      TELEPAGE_A_RANGE_PAD))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}
