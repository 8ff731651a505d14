// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_release.c - take back an export
 */
#include "oneshot.h"

const char cmd_release_usage[] =
	"Usage: telepage release NAME\n\n"
	"Takes back the export NAME: its pages are given out no more, and a region can then\n"
	"be deleted. A peer that still lacks pages of it does not get them.\n";

int cmd_release(int argc, char **argv)
{
	static const struct tp_oneshot o = { "release", tp_export_del };

	return tp_oneshot(argc, argv, &o);
}
