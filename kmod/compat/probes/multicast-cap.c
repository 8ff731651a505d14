// SPDX-License-Identifier: GPL-2.0
/* Have groups a flag of their own for who may join? (6.8, and later ones of 6.1 and 6.6) */
#include <net/genetlink.h>

const struct genl_multicast_group probe = { .flags = GENL_MCAST_CAP_NET_ADMIN };
