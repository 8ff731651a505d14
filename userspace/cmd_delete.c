// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_delete.c - delete a region
 */
#include "oneshot.h"

const char cmd_delete_usage[] =
	"Usage: telepage delete NAME\n\n"
	"Deletes the region NAME and its memory. A region that is open, mapped, exported or\n"
	"still filling is not deleted.\n";

int cmd_delete(int argc, char **argv)
{
	static const struct tp_oneshot o = { "delete", tp_region_del };

	return tp_oneshot(argc, argv, &o);
}
