// SPDX-License-Identifier: GPL-2.0
/*
 * devstate.c - the connection for a move's device state, at either end
 */
#include <stddef.h>
#include <unistd.h>

#include "devstate.h"

void devstate_init(struct devstate *s)
{
	s->warm = NULL;
	s->fd = -1;
	s->code = RELAY_PLAIN;
	s->relay = NULL;
}

bool devstate_there(const struct devstate *s)
{
	return s->relay || s->fd >= 0;
}

void devstate_drop(struct devstate *s)
{
	warm_cancel(s->warm);
	if (s->fd >= 0)
		close(s->fd);
	relay_close(s->relay);
	devstate_init(s);
}
