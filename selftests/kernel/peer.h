/* SPDX-License-Identifier: GPL-2.0 */
/*
 * peer.h - this program as the other end of a lane, speaking the wire itself
 */
#ifndef TELEPAGE_PEER_H
#define TELEPAGE_PEER_H

#include "tk.h"
#include "wire.h"

/* false: the lane broke; for a peer that misbehaves that is no failure */
bool peer_put(int fd, const void *buf, size_t len);
void peer_say(int fd, const struct tp_hdr *hdr, const void *payload, size_t len);

/* the next message; its payload, cut to @len, in @payload */
bool peer_hear(int fd, struct tp_hdr *hdr, void *payload, size_t len);
/* the next that is not a request of the module's own */
bool peer_hear_answer(int fd, struct tp_hdr *hdr, void *payload, size_t len);

/* the next message of demands: how many, up to @max of them in @d; 0: the lane broke, or silence */
unsigned int peer_demanded(int fd, struct tp_demand *d, unsigned int max);
/* the page that is asked for, as tk_fill() makes it */
void peer_give(int fd, uint32_t export, const struct tp_demand *d, uint32_t seed);

/* our end of a new lane of @link, before and after the greeting */
int peer_lane(uint32_t link, unsigned int lane);
int peer_greeted_lane(uint32_t link, unsigned int lane);
/* goes for good, also when children have it, too; @link has noticed */
void peer_lane_lost(int fd, uint32_t link);

#endif /* TELEPAGE_PEER_H */
