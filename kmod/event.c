// SPDX-License-Identifier: GPL-2.0
/*
 * event.c - multicast events
 *
 * An event is a hint: who missed one (ENOBUFS) dumps. So a failure to send it is
 * no error, as long as who listens is told of it.
 */
#include <net/net_namespace.h>
#include "netlink.h"
#include "telepage.h"

/* There was no memory for an event. */
static void tp_event_missed(void)
{
	struct net *net;

	rcu_read_lock();
	for_each_net_rcu(net)
		genl_set_err(&tp_family, net, 0, TP_MCGRP_EVENTS, -ENOBUFS);
	rcu_read_unlock();
}

static void tp_event_send(enum telepage_event kind, int noun, const char *name, bool has_link,
			  u32 link, u32 lane, int err, const char *reason)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!skb) {
		tp_event_missed();
		return;
	}
	hdr = genlmsg_put(skb, 0, 0, &tp_family, 0, TELEPAGE_CMD_EVENT);
	if (!hdr || nla_put_u32(skb, TELEPAGE_A_EVENT_KIND, kind) ||
	    (name && nla_put_string(skb, noun, name)) ||
	    (has_link && (nla_put_u32(skb, TELEPAGE_A_EVENT_LINK, link) ||
			  nla_put_u32(skb, TELEPAGE_A_EVENT_LANE, lane))) ||
	    (err && nla_put_u32(skb, TELEPAGE_A_EVENT_ERRNO, err)) ||
	    (reason && nla_put_string(skb, TELEPAGE_A_EVENT_REASON, reason))) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	tp_multicast_allns(&tp_family, skb, TP_MCGRP_EVENTS);
}

/**
 * tp_event - tell about a region
 * @kind: what happened
 * @r: to which region
 * @err: positive errno, 0: none
 * @reason: for people, or NULL
 *
 * Context: sleeps.
 */
void tp_event(enum telepage_event kind, const struct tp_region *r, int err, const char *reason)
{
	tp_event_send(kind, TELEPAGE_A_EVENT_REGION, r->name, false, 0, 0, err, reason);
}

/**
 * tp_event_export - tell about an export
 * @kind: what happened
 * @name: to which export
 * @err: positive errno, 0: none
 * @reason: for people, or NULL
 *
 * Context: sleeps.
 */
void tp_event_export(enum telepage_event kind, const char *name, int err, const char *reason)
{
	tp_event_send(kind, TELEPAGE_A_EVENT_EXPORT, name, false, 0, 0, err, reason);
}

/**
 * tp_event_lane - tell about a lane
 * @kind: what happened
 * @link: number of the link
 * @lane: number of the lane
 * @err: positive errno, 0: none
 * @reason: for people, or NULL
 *
 * Context: sleeps.
 */
void tp_event_lane(enum telepage_event kind, u32 link, u32 lane, int err, const char *reason)
{
	tp_event_send(kind, 0, NULL, true, link, lane, err, reason);
}
