/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dial.h - one plain TCP connection, for telepage plumb
 *
 * No encryption and no identity: for tests, trusted wires and finding faults.
 */
#ifndef TELEPAGE_DIAL_H
#define TELEPAGE_DIAL_H

#include <stddef.h>

/*
 * Both return a connected socket, or -1 with the reason in @why. tp_dial() tries
 * again while the other side does not listen yet.
 */
int tp_dial(const char *host, const char *port, double timeout_s, char *why, size_t why_len);
/* @host "": any address; takes the first that comes */
int tp_accept_one(const char *host, const char *port, double timeout_s, char *why,
		  size_t why_len);

#endif /* TELEPAGE_DIAL_H */
