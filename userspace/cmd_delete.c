// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_delete.c - delete a region
 */
#include <errno.h>
#include <stdio.h>

#include "oneshot.h"

const char cmd_delete_usage[] =
	"Usage: telepage delete NAME\n\n"
	"Deletes the region NAME and its memory. A region that is open, mapped, exported or\n"
	"still filling is not deleted; it is open, too, while others take pages from it.\n";

/* It is open, maybe for others that fill: they take pages from older ones. */
static const char *who_takes(const char *name, int err)
{
	static char takers[512];
	struct tp_region_list l;
	struct tp_region r;
	size_t len = 0;
	struct tp_nl *nl;

	/* of its own: why it was refused is still to be said */
	if (err != -EBUSY || tp_nl_open(&nl))
		return NULL;
	if (!tp_region_get(nl, name, &r) && r.openers && !tp_region_dump(nl, &l)) {
		for (size_t i = 0; i < l.n && len < sizeof(takers) / 2; i++)
			if (l.v[i].id > r.id && l.v[i].state == TELEPAGE_REGION_FILLING)
				len += snprintf(takers + len, sizeof(takers) - len, "%s%s",
						len ? ", " : "", l.v[i].name);
		tp_region_list_free(&l);
	}
	tp_nl_close(nl);
	if (!len)
		return NULL;
	snprintf(takers + len, sizeof(takers) - len,
		 " may take pages from it until complete: wait for that");
	return takers;
}

int cmd_delete(int argc, char **argv)
{
	static const struct tp_oneshot o = {
		.verb = "delete", .call = tp_region_del, .hint = who_takes,
	};

	return tp_oneshot(argc, argv, &o);
}
