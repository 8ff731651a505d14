// SPDX-License-Identifier: GPL-2.0
/* Does genlmsg_multicast_allns() still take allocation flags? (before 6.12) */
#include <net/genetlink.h>
int probe(const struct genl_family *family, struct sk_buff *skb);
int probe(const struct genl_family *family, struct sk_buff *skb)
{
	return genlmsg_multicast_allns(family, skb, 0, 0, GFP_KERNEL);
}
