// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_freeze.c - let no write into a region
 */
#include "oneshot.h"

const char cmd_freeze_usage[] =
	"Usage: telepage freeze NAME\n\n"
	"When it returns, no write can land in the region NAME any more: write() gives EPERM,\n"
	"a store SIGBUS. Exports of the region begin to give out pages. Stop the VM first.\n";

int cmd_freeze(int argc, char **argv)
{
	static const struct tp_oneshot o = { .verb = "freeze", .call = tp_region_freeze };

	return tp_oneshot(argc, argv, &o);
}
