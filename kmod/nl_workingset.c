// SPDX-License-Identifier: GPL-2.0
/*
 * nl_workingset.c - netlink commands on which pages were needed first
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include "netlink.h"
#include "prefetch.h"
#include "telepage.h"

struct tp_touched_answer {
	struct tp_region *r;
	u64 first;
	unsigned int all, nr;
	struct telepage_run *runs;
};

static int tp_nl_fill_touched(struct sk_buff *skb, void *obj)
{
	const struct tp_touched_answer *t = obj;

	if (nla_put_string(skb, TELEPAGE_A_REGION_NAME, t->r->name) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_START, t->first, TELEPAGE_A_REGION_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_COUNT, t->all, TELEPAGE_A_REGION_PAD) ||
	    nla_put(skb, TELEPAGE_A_REGION_RUNS, t->nr * sizeof(*t->runs), t->runs))
		return -EMSGSIZE;
	return 0;
}

static int tp_do_touched(struct tp_region *r, struct genl_info *info)
{
	struct tp_touched_answer t = { .r = r, .nr = TELEPAGE_RUNS_MAX };
	int err;

	if (info->attrs[TELEPAGE_A_REGION_START])
		t.first = nla_get_u64(info->attrs[TELEPAGE_A_REGION_START]);
	t.runs = kvmalloc_array(t.nr, sizeof(*t.runs), GFP_KERNEL);
	if (!t.runs)
		return -ENOMEM;
	t.all = tp_touched_read(r, t.first, t.runs, &t.nr);
	err = tp_nl_reply(info, t.nr * sizeof(*t.runs) + 256, tp_nl_fill_touched, &t);
	kvfree(t.runs);
	return err;
}

int tp_nl_region_touched(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_with_region(info, TELEPAGE_A_REGION_NAME, tp_do_touched);
}

static int tp_do_replay(struct tp_region *r, struct genl_info *info)
{
	struct telepage_run *runs;
	int n = tp_nl_get_runs(info, info->attrs[TELEPAGE_A_REGION_RUNS], &runs), err;

	if (n <= 0)
		return n ?: tp_nl_invalid(info, TP_RUNS_RULE);
	err = tp_replay_add(r, runs, n, nla_get_flag(info->attrs[TELEPAGE_A_REGION_LOCAL]),
			    info->extack);
	kvfree(runs);
	return err;
}

int tp_nl_region_replay(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_with_region(info, TELEPAGE_A_REGION_NAME, tp_do_replay);
}
