// SPDX-License-Identifier: GPL-2.0
/*
 * netlink.c - the generic netlink family: commands, start and end
 *
 * The ABI is described in <linux/telepage.h>. Handlers run in parallel as far as
 * netlink is concerned; tp_ctl_mutex makes control operations one at a time.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "link.h"
#include "netlink.h"
#include "telepage.h"

#define TP_OP(_cmd, _noun, _doit) \
	{ .cmd = TELEPAGE_CMD_##_cmd, .flags = GENL_ADMIN_PERM, .doit = _doit, \
	  .policy = tp_##_noun##_policy, .maxattr = ARRAY_SIZE(tp_##_noun##_policy) - 1 }
#define TP_OP_GET(_cmd, _noun) \
	{ .cmd = TELEPAGE_CMD_##_cmd, .flags = GENL_ADMIN_PERM, .doit = tp_nl_##_noun##_get, \
	  .dumpit = tp_nl_##_noun##_dump, \
	  .policy = tp_##_noun##_policy, .maxattr = ARRAY_SIZE(tp_##_noun##_policy) - 1 }

#define TP_OP_GET_BIG(_cmd, _noun, _start) \
	{ .cmd = TELEPAGE_CMD_##_cmd, .flags = GENL_ADMIN_PERM, .doit = tp_nl_##_noun##_get, \
	  .dumpit = tp_nl_##_noun##_dump, .start = _start, \
	  .policy = tp_##_noun##_policy, .maxattr = ARRAY_SIZE(tp_##_noun##_policy) - 1 }

static const struct genl_ops tp_ops[] = {
	TP_OP(REGION_NEW, region, tp_nl_region_new),
	TP_OP(REGION_DEL, region, tp_nl_region_del),
	TP_OP_GET(REGION_GET, region),
	TP_OP(REGION_FREEZE, region, tp_nl_region_freeze),
	TP_OP(REGION_THAW, region, tp_nl_region_thaw),
	TP_OP(REGION_DIRTY, region, tp_nl_region_dirty),
	TP_OP(REGION_IMPORT, region, tp_nl_region_import),
	TP_OP(REGION_ABANDON, region, tp_nl_region_abandon),
	TP_OP(EXPORT_NEW, export, tp_nl_export_new),
	TP_OP(EXPORT_DEL, export, tp_nl_export_del),
	TP_OP_GET_BIG(EXPORT_GET, export, tp_nl_export_dump_start),
	TP_OP(EXPORT_SERVE, export, tp_nl_export_serve),
	TP_OP(EXPORT_ROUND, export, tp_nl_export_round),
	TP_OP(LINK_NEW, link, tp_nl_link_new),
	TP_OP(LINK_DEL, link, tp_nl_link_del),
	TP_OP_GET(LINK_GET, link),
	TP_OP(LINK_SET, link, tp_nl_link_set),
	TP_OP(LANE_ATTACH, link, tp_nl_lane_attach),
	TP_OP(LANE_DETACH, link, tp_nl_lane_detach),
	TP_OP(UFFD_ATTACH, uffd, tp_nl_uffd_attach),
	TP_OP(UFFD_DETACH, uffd, tp_nl_uffd_detach),
	TP_OP_GET(UFFD_GET, uffd),
	TP_OP(REGION_ORIGIN, origin, tp_nl_region_origin),
	TP_OP(REGION_TOUCHED, region, tp_nl_region_touched),
	TP_OP(REGION_REPLAY, region, tp_nl_region_replay),
	TP_OP(REGION_SAMPLE, region, tp_nl_region_sample),
	TP_OP(REGION_SAMPLED, region, tp_nl_region_sampled),
	TP_OP(EXPORT_ORDER, export, tp_nl_export_order),
};

static const struct genl_multicast_group tp_mcgrps[] = {
	/* names of VMs, and whom they go to: as privileged as the commands */
	[TP_MCGRP_EVENTS] = { .name = TELEPAGE_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

struct genl_family tp_family __ro_after_init = {
	.name		= TELEPAGE_FAMILY_NAME,
	.version	= TELEPAGE_FAMILY_VERSION,
	.module		= THIS_MODULE,
	.netnsok	= true,
	.parallel_ops	= true,
	.ops		= tp_ops,
	.n_ops		= ARRAY_SIZE(tp_ops),
	.mcgrps		= tp_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(tp_mcgrps),
};

int tp_nl_invalid(struct genl_info *info, const char *why)
{
	/* NL_SET_ERR_MSG() takes literals only */
	if (info->extack)
		info->extack->_msg = why;
	return -EINVAL;
}

/**
 * tp_nl_get_runs - runs of pages that came with a command
 * @info: the command, which is told when they are none
 * @attr: the attribute, or NULL
 * @runs: out: a copy for kvfree(), for attributes are aligned to 4 bytes only; or NULL
 *
 * Context: sleeps for memory.
 * Return: how many, 0 without @attr, or -EINVAL, -ENOMEM.
 */
int tp_nl_get_runs(struct genl_info *info, const struct nlattr *attr, struct telepage_run **runs)
{
	int len = attr ? nla_len(attr) : 0;

	*runs = NULL;
	if (len % sizeof(**runs))
		return tp_nl_invalid(info, TP_RUNS_RULE);
	if (!len)
		return 0;
	*runs = kvmalloc(len, GFP_KERNEL);
	if (!*runs)
		return -ENOMEM;
	nla_memcpy(*runs, attr, len);
	return len / sizeof(**runs);
}

int tp_nl_reply(struct genl_info *info, size_t size,
		int (*fill)(struct sk_buff *skb, void *obj), void *obj)
{
	struct sk_buff *skb = genlmsg_new(size, GFP_KERNEL);

	return skb ? tp_nl_reply_in(skb, info, 0, fill, obj) : -ENOMEM;
}

int tp_nl_reply_in(struct sk_buff *room, struct genl_info *info, int err,
		   int (*fill)(struct sk_buff *skb, void *obj), void *obj)
{
	void *hdr = NULL;

	if (!err) {
		hdr = genlmsg_put_reply(room, info, &tp_family, 0, info->genlhdr->cmd);
		err = hdr ? fill(room, obj) : -EMSGSIZE;
	}
	if (err) {
		nlmsg_free(room);
		return err;
	}
	genlmsg_end(room, hdr);
	return genlmsg_reply(room, info);
}

int tp_nl_dump_one(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd,
		   int (*fill)(struct sk_buff *skb, void *obj), void *obj)
{
	void *hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &tp_family,
				NLM_F_MULTI, cmd);
	int err = hdr ? fill(skb, obj) : -EMSGSIZE;

	if (err) {
		if (hdr)
			genlmsg_cancel(skb, hdr);
		return err;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

int __init tp_netlink_init(void)
{
	return genl_register_family(&tp_family);
}

/**
 * tp_netlink_exit - no more commands; what they made and is left goes too
 *
 * A lane pins the module, and so does a region; so here are at most links without
 * lanes and exports of files.
 */
void tp_netlink_exit(void)
{
	struct tp_export *ex;
	struct tp_link *link;
	unsigned long id;

	genl_unregister_family(&tp_family);
	mutex_lock(&tp_ctl_mutex);
	xa_for_each(&tp_exports, id, ex)
		tp_export_del(ex);
	xa_for_each(&tp_links, id, link)
		if (!WARN_ON_ONCE(tp_link_del(link, NULL)))
			tp_link_end(link);
	mutex_unlock(&tp_ctl_mutex);
	xa_destroy(&tp_exports);
	xa_destroy(&tp_links);
}
