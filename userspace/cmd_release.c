// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_release.c - take back an export
 */
#include <stdio.h>
#include <unistd.h>

#include "fmt.h"
#include "oneshot.h"

const char cmd_release_usage[] =
	"Usage: telepage release NAME [--yes]\n\n"
	"Takes back the export NAME: its pages are given out no more, and a region can then\n"
	"be deleted. A peer that still lacks pages of it does not get them.\n\n"
	"  --yes   do not ask, though a peer waits for pages; needed for that when there is\n"
	"          no terminal to ask on\n";

/* does a peer wait for pages? 0: no, else what was said, or TP_OK when it may be done */
static int confirm(const char *argv0, const char *name)
{
	struct tp_export e;
	struct tp_nl *nl;
	char left[TP_FMT_LEN];
	uint64_t wanted;
	int err, status;

	status = tp_open(&nl, "release");
	if (status)
		return status;
	err = tp_export_get(nl, name, &e);
	if (err)
		status = tp_fail_nl(nl, err, NULL, "release %s", name);
	tp_nl_close(nl);
	if (err)
		return status;
	wanted = e.wanted;
	tp_export_clear(&e);
	if (!wanted)
		return TP_OK;
	if (!isatty(STDIN_FILENO))
		return tp_usage(argv0, "needs --yes while a peer lacks pages of %s and there is no terminal to ask on",
				name);
	fprintf(stderr, "%s: %s have not gone to the peer yet, which then lacks them for good. Type yes: ",
		name, tp_fmt_size(left, sizeof(left), wanted * TELEPAGE_PAGE_SIZE));
	return tp_confirmed() ? TP_OK : tp_fail("release %s: not confirmed, nothing was done", name);
}

int cmd_release(int argc, char **argv)
{
	static const struct tp_oneshot oneshot = { .verb = "release", .call = tp_export_del };
	const char *name;
	bool yes;
	int status = tp_yes_name(argc, argv, &yes, &name);

	if (status)
		return status;
	status = yes ? TP_OK : confirm(argv[0], name);
	return status ? status : tp_oneshot_name(name, &oneshot);
}
