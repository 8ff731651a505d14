// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_thaw.c - undo freeze
 */
#include "oneshot.h"

const char cmd_thaw_usage[] =
	"Usage: telepage thaw NAME\n\n"
	"Lets writes into the region NAME again, for a move that did not come about. Its exports\n"
	"stop giving out pages first. Never thaw what already runs elsewhere.\n";

int cmd_thaw(int argc, char **argv)
{
	static const struct tp_oneshot o = { .verb = "thaw", .call = tp_region_thaw };

	return tp_oneshot(argc, argv, &o);
}
