/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devstate.h - the connection for a move's device state, at either end
 *
 * It is @fd while it is warmed (warm.h), then it is the relay's (relay.h).
 */
#ifndef TELEPAGE_DEVSTATE_H
#define TELEPAGE_DEVSTATE_H

#include <stdbool.h>

#include "relay.h"
#include "warm.h"

struct devstate {
	struct warm *warm;
	int fd;				/* -1: there is none, or the relay has it */
	enum relay_code code;		/* of the relay, as both ends have agreed */
	struct relay *relay;
};

void devstate_init(struct devstate *s);
/* is there one, however far it is? */
bool devstate_there(const struct devstate *s);
void devstate_drop(struct devstate *s);

#endif /* TELEPAGE_DEVSTATE_H */
