// SPDX-License-Identifier: GPL-2.0
/*
 * nl_sample.c - netlink commands on which pages are used
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include "netlink.h"
#include "sample.h"
#include "telepage.h"

static int tp_do_sample(struct tp_region *r, struct genl_info *info)
{
	struct nlattr *every = info->attrs[TELEPAGE_A_REGION_EVERY];
	struct nlattr *seed = info->attrs[TELEPAGE_A_REGION_SEED];

	if (!every)
		return tp_nl_invalid(info, "EVERY says how many chunks one is sampled of");
	if (nla_get_u32(every))
		return tp_sample_begin(r, nla_get_u32(every), seed ? nla_get_u32(seed) : 0,
				       info->extack);
	tp_sample_end(r);
	return 0;
}

int tp_nl_region_sample(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_with_region(info, TELEPAGE_A_REGION_NAME, tp_do_sample);
}

struct tp_sampled_answer {
	struct tp_region *r;
	u64 start;
	unsigned int nr;
	struct telepage_run *runs;
	struct tp_sample_stat st;
};

static int tp_nl_fill_sampled(struct sk_buff *skb, void *obj)
{
	const struct tp_sampled_answer *a = obj;

	if (nla_put_string(skb, TELEPAGE_A_REGION_NAME, a->r->name) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_START, a->start, TELEPAGE_A_REGION_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_COUNT, a->st.touched,
			      TELEPAGE_A_REGION_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_SAMPLED, a->st.sampled,
			      TELEPAGE_A_REGION_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_FAULTS, a->st.faults,
			      TELEPAGE_A_REGION_PAD) ||
	    nla_put_u32(skb, TELEPAGE_A_REGION_EVERY, a->st.every) ||
	    nla_put(skb, TELEPAGE_A_REGION_RUNS, a->nr * sizeof(*a->runs), a->runs))
		return -EMSGSIZE;
	return 0;
}

static int tp_do_sampled(struct tp_region *r, struct genl_info *info)
{
	struct nlattr *start = info->attrs[TELEPAGE_A_REGION_START];
	struct tp_sampled_answer a = { .r = r, .nr = TELEPAGE_RUNS_MAX };
	int err;

	if (start)
		a.start = nla_get_u64(start);
	if (a.start >= r->nr_pages) {
		NL_SET_ERR_MSG_ATTR(info->extack, start, "START is outside of the region");
		return -ERANGE;
	}
	a.runs = kvmalloc_array(a.nr, sizeof(*a.runs), GFP_KERNEL);
	if (!a.runs)
		return -ENOMEM;
	err = tp_sample_read(r, a.start, a.runs, &a.nr, &a.st);
	if (err)
		NL_SET_ERR_MSG(info->extack, "the region has no sample: begin one");
	else
		err = tp_nl_reply(info, a.nr * sizeof(*a.runs) + 256, tp_nl_fill_sampled, &a);
	kvfree(a.runs);
	return err;
}

int tp_nl_region_sampled(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_with_region(info, TELEPAGE_A_REGION_NAME, tp_do_sampled);
}
