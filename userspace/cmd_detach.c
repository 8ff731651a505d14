// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_detach.c - a VMM gets its memory for itself
 */
#include "oneshot.h"

const char cmd_detach_usage[] =
	"Usage: telepage detach REGION\n\n"
	"Ends the service of a VMM that was attached to REGION, when all of its pages are here\n"
	"and given to it; it goes on with plain memory. A VMM that ends is detached by itself.\n";

int cmd_detach(int argc, char **argv)
{
	static const struct tp_oneshot o = { .verb = "detach", .call = tp_uffd_detach };

	return tp_oneshot(argc, argv, &o);
}
