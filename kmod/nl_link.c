// SPDX-License-Identifier: GPL-2.0
/*
 * nl_link.c - netlink commands on links and lanes
 */
#include "link.h"
#include "netlink.h"
#include "telepage.h"

const struct nla_policy tp_link_policy[TELEPAGE_A_LINK_MAX + 1] = {
	[TELEPAGE_A_LINK_ID]	= { .type = NLA_U32 },
	[TELEPAGE_A_LINK_PEER]	= { .type = NLA_NUL_STRING, .len = TELEPAGE_PEER_MAX },
	[TELEPAGE_A_LINK_LANE]	= NLA_POLICY_MAX(NLA_U32, TELEPAGE_LANE_MAX),
	[TELEPAGE_A_LINK_FD]	= { .type = NLA_U32 },
};

/* room for every lane */
#define TP_LINK_MSG	(TELEPAGE_PEER_MAX + 256 + TP_LANES * 64)

static int tp_nl_fill_lanes(struct sk_buff *skb, struct tp_link *link)
{
	u32 nr;
	int err = 0;

	for (nr = 0; nr < TP_LANES && !err; nr++) {
		struct tp_lane *lane = tp_lane_get(link, nr);
		struct nlattr *nest;

		if (!lane)
			continue;
		nest = nla_nest_start(skb, TELEPAGE_A_LINK_LANES);
		if (!nest || nla_put_u32(skb, TELEPAGE_A_LINK_LANE, nr) ||
		    (test_bit(TP_LANE_UP, &lane->flags) &&
		     nla_put_flag(skb, TELEPAGE_A_LINK_UP)) ||
		    nla_put_u64_64bit(skb, TELEPAGE_A_LINK_TX_BYTES,
				      atomic64_read(&lane->tx_bytes), TELEPAGE_A_LINK_PAD) ||
		    nla_put_u64_64bit(skb, TELEPAGE_A_LINK_RX_BYTES,
				      atomic64_read(&lane->rx_bytes), TELEPAGE_A_LINK_PAD))
			err = -EMSGSIZE;
		else
			nla_nest_end(skb, nest);
		tp_lane_put(lane);
	}
	return err;
}

static int tp_nl_fill_link(struct sk_buff *skb, void *obj)
{
	struct tp_link *link = obj;

	lockdep_assert_held(&tp_ctl_mutex);
	if (nla_put_u32(skb, TELEPAGE_A_LINK_ID, link->id) ||
	    nla_put_string(skb, TELEPAGE_A_LINK_PEER, link->peer) ||
	    (tp_link_is_up(link) && nla_put_flag(skb, TELEPAGE_A_LINK_UP)) ||
	    nla_put_u32(skb, TELEPAGE_A_LINK_IMPORTS, atomic_read(&link->nr_imports)) ||
	    nla_put_u32(skb, TELEPAGE_A_LINK_SERVES, atomic_read(&link->nr_serves)) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_LINK_TX_BYTES, atomic64_read(&link->tx_bytes),
			      TELEPAGE_A_LINK_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_LINK_RX_BYTES, atomic64_read(&link->rx_bytes),
			      TELEPAGE_A_LINK_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_LINK_BAD, atomic64_read(&link->bad),
			      TELEPAGE_A_LINK_PAD))
		return -EMSGSIZE;
	return tp_nl_fill_lanes(skb, link);
}

/*
 * Do something to the link that a command names, under tp_ctl_mutex. What @fn leaves in
 * info->user_ptr[0] is the caller's.
 */
static int tp_nl_link_do(struct genl_info *info,
			 int (*fn)(struct tp_link *link, struct genl_info *info))
{
	struct nlattr *id = info->attrs[TELEPAGE_A_LINK_ID];
	struct tp_link *link;
	int err;

	if (!id) {
		NL_SET_ERR_MSG(info->extack, "the number of a link is missing");
		return -EINVAL;
	}
	if (mutex_lock_killable(&tp_ctl_mutex))
		return -EINTR;
	link = tp_link_find(nla_get_u32(id));
	if (link) {
		err = fn(link, info);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, id, "no such link");
		err = -ENOENT;
	}
	mutex_unlock(&tp_ctl_mutex);
	return err;
}

int tp_nl_link_new(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *peer = info->attrs[TELEPAGE_A_LINK_PEER];
	struct sk_buff *room = genlmsg_new(TP_LINK_MSG, GFP_KERNEL);
	struct tp_link *link;
	int err;

	if (!room)
		return -ENOMEM;
	if (mutex_lock_killable(&tp_ctl_mutex)) {
		nlmsg_free(room);
		return -EINTR;
	}
	link = tp_link_new(peer ? nla_data(peer) : "", info->extack);
	err = tp_nl_reply_in(room, info, PTR_ERR_OR_ZERO(link), tp_nl_fill_link, link);
	mutex_unlock(&tp_ctl_mutex);
	return err;
}

static int tp_do_link_del(struct tp_link *link, struct genl_info *info)
{
	info->user_ptr[0] = link;
	return tp_link_del(link, info->extack);
}

int tp_nl_link_del(struct sk_buff *skb, struct genl_info *info)
{
	int err = tp_nl_link_do(info, tp_do_link_del);

	if (!err)
		tp_link_end(info->user_ptr[0]);
	return err;
}

static int tp_do_link_get(struct tp_link *link, struct genl_info *info)
{
	return tp_nl_reply(info, TP_LINK_MSG, tp_nl_fill_link, link);
}

int tp_nl_link_get(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_link_do(info, tp_do_link_get);
}

static int tp_do_link_set(struct tp_link *link, struct genl_info *info)
{
	struct nlattr *peer = info->attrs[TELEPAGE_A_LINK_PEER];

	if (!peer) {
		NL_SET_ERR_MSG(info->extack, "the note is missing");
		return -EINVAL;
	}
	return tp_link_set_peer(link, nla_data(peer));
}

int tp_nl_link_set(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_link_do(info, tp_do_link_set);
}

static int tp_do_lane_attach(struct tp_link *link, struct genl_info *info)
{
	struct nlattr **a = info->attrs;

	if (!a[TELEPAGE_A_LINK_LANE] || !a[TELEPAGE_A_LINK_FD]) {
		NL_SET_ERR_MSG(info->extack, "a lane needs its number and a socket");
		return -EINVAL;
	}
	return tp_lane_attach(link, nla_get_u32(a[TELEPAGE_A_LINK_LANE]),
			      nla_get_u32(a[TELEPAGE_A_LINK_FD]), info->extack);
}

int tp_nl_lane_attach(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_link_do(info, tp_do_lane_attach);
}

static int tp_do_lane_detach(struct tp_link *link, struct genl_info *info)
{
	struct nlattr *nr = info->attrs[TELEPAGE_A_LINK_LANE];
	struct tp_lane *lane = nr ? tp_lane_get(link, nla_get_u32(nr)) : NULL;

	if (!lane) {
		NL_SET_ERR_MSG(info->extack, "no such lane");
		return nr ? -ENOENT : -EINVAL;
	}
	tp_lane_fail(lane, -ESHUTDOWN, "the lane was detached");
	info->user_ptr[0] = lane;
	return 0;
}

int tp_nl_lane_detach(struct sk_buff *skb, struct genl_info *info)
{
	int err = tp_nl_link_do(info, tp_do_lane_detach);

	if (!err) {
		err = tp_lane_wait_gone(info->user_ptr[0], jiffies + TP_GONE_WAIT);
		if (err == -EBUSY)
			NL_SET_ERR_MSG(info->extack,
				       "the lane is ending: a thread of it still reads what it sends");
		tp_lane_put(info->user_ptr[0]);
	}
	return err;
}

int tp_nl_link_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long id = cb->args[0];
	struct tp_link *link;

	if (mutex_lock_killable(&tp_ctl_mutex))
		return -EINTR;
	xa_for_each_start(&tp_links, id, link, cb->args[0]) {
		if (tp_nl_dump_one(skb, cb, TELEPAGE_CMD_LINK_GET, tp_nl_fill_link, link))
			break;
		cb->args[0] = id + 1;
	}
	mutex_unlock(&tp_ctl_mutex);
	return skb->len;
}
