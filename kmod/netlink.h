/* SPDX-License-Identifier: GPL-2.0 */
/*
 * netlink.h - the generic netlink family, one file of handlers per noun
 */
#ifndef TP_NETLINK_H
#define TP_NETLINK_H

#include <net/genetlink.h>
#include <linux/telepage.h>

struct tp_region;
struct tp_mm;

extern struct genl_family tp_family;

#define TP_MCGRP_EVENTS	0

extern const struct nla_policy tp_region_policy[TELEPAGE_A_REGION_MAX + 1];
extern const struct nla_policy tp_export_policy[TELEPAGE_A_EXPORT_MAX + 1];
extern const struct nla_policy tp_link_policy[TELEPAGE_A_LINK_MAX + 1];
extern const struct nla_policy tp_uffd_policy[TELEPAGE_A_UFFD_MAX + 1];
extern const struct nla_policy tp_origin_policy[TELEPAGE_A_ORIGIN_MAX + 1];

int tp_nl_with_region(struct genl_info *info, int attr,
		      int (*fn)(struct tp_region *r, struct genl_info *info));
int tp_nl_region_new(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_del(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_get(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tp_nl_region_freeze(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_thaw(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_dirty(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_import(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_abandon(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_origin(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_touched(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_replay(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_sample(struct sk_buff *skb, struct genl_info *info);
int tp_nl_region_sampled(struct sk_buff *skb, struct genl_info *info);

int tp_nl_export_new(struct sk_buff *skb, struct genl_info *info);
int tp_nl_export_del(struct sk_buff *skb, struct genl_info *info);
int tp_nl_export_get(struct sk_buff *skb, struct genl_info *info);
int tp_nl_export_dump_start(struct netlink_callback *cb);
int tp_nl_export_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tp_nl_export_serve(struct sk_buff *skb, struct genl_info *info);
int tp_nl_export_round(struct sk_buff *skb, struct genl_info *info);
int tp_nl_export_order(struct sk_buff *skb, struct genl_info *info);

struct tp_mm *tp_nl_process(struct sk_buff *skb, struct genl_info *info);
int tp_nl_fill_process(struct sk_buff *skb, const struct tp_mm *m);
extern const struct nla_policy tp_range_policy[TELEPAGE_A_RANGE_MAX + 1];

int tp_nl_link_new(struct sk_buff *skb, struct genl_info *info);
int tp_nl_link_del(struct sk_buff *skb, struct genl_info *info);
int tp_nl_link_get(struct sk_buff *skb, struct genl_info *info);
int tp_nl_link_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tp_nl_link_set(struct sk_buff *skb, struct genl_info *info);
int tp_nl_lane_attach(struct sk_buff *skb, struct genl_info *info);
int tp_nl_lane_detach(struct sk_buff *skb, struct genl_info *info);

int tp_nl_uffd_attach(struct sk_buff *skb, struct genl_info *info);
int tp_nl_uffd_detach(struct sk_buff *skb, struct genl_info *info);
int tp_nl_uffd_get(struct sk_buff *skb, struct genl_info *info);
int tp_nl_uffd_dump(struct sk_buff *skb, struct netlink_callback *cb);

/* -EINVAL, with @why, a constant, for the user. */
int tp_nl_invalid(struct genl_info *info, const char *why);
#define TP_RUNS_RULE	"RUNS says which pages, whole runs of START and COUNT"
int tp_nl_get_runs(struct genl_info *info, const struct nlattr *attr, struct telepage_run **runs);
/* Answers one object: @fill puts its attributes, -EMSGSIZE when they do not fit. */
int tp_nl_reply(struct genl_info *info, size_t size,
		int (*fill)(struct sk_buff *skb, void *obj), void *obj);
/*
 * The same in a message that is there already, and is taken; with @err nothing is
 * answered, and that is returned. Who makes something has the room for the answer
 * before, as nobody is told of what is made and then refused.
 */
int tp_nl_reply_in(struct sk_buff *room, struct genl_info *info, int err,
		   int (*fill)(struct sk_buff *skb, void *obj), void *obj);
/* Puts one object as a message of a dump. */
int tp_nl_dump_one(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd,
		   int (*fill)(struct sk_buff *skb, void *obj), void *obj);

#endif /* TP_NETLINK_H */
