// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_abandon.c - give up the pages that are still at the peer
 */
#include <stdio.h>
#include <unistd.h>

#include "fmt.h"
#include "oneshot.h"

const char cmd_abandon_usage[] =
	"Usage: telepage abandon NAME [--yes]\n\n"
	"Gives up the pages of the region NAME that are still at the peer. Whoever touches one\n"
	"from then on gets SIGBUS (or EIO), which ends a VM. It cannot be undone.\n\n"
	"  --yes   do not ask; needed when there is no terminal to ask on\n";

/* says what would be lost, so that it is not typed away blindly */
static int confirm(const char *name)
{
	struct tp_region r;
	struct tp_nl *nl;
	char lost[TP_FMT_LEN], size[TP_FMT_LEN];
	int err, status;

	status = tp_open(&nl, "abandon");
	if (status)
		return status;
	err = tp_region_get(nl, name, &r);
	if (err)
		status = tp_fail_nl(nl, err, NULL, "abandon %s", name);
	tp_nl_close(nl);
	if (err)
		return status;

	fprintf(stderr, "%s: %s of %s are not here and will be lost for good. Type yes: ", name,
		tp_fmt_size(lost, sizeof(lost), r.absent * TELEPAGE_PAGE_SIZE),
		tp_fmt_size(size, sizeof(size), r.size));
	return tp_confirmed() ? TP_OK : tp_fail("abandon %s: not confirmed, nothing was done", name);
}

int cmd_abandon(int argc, char **argv)
{
	static const struct tp_oneshot oneshot = { .verb = "abandon", .call = tp_region_abandon };
	const char *name;
	bool yes;
	int status = tp_yes_name(argc, argv, &yes, &name);

	if (status)
		return status;

	if (!yes) {
		if (!isatty(STDIN_FILENO))
			return tp_usage(argv[0], "needs --yes when there is no terminal to ask on");
		status = confirm(name);
		if (status)
			return status;
	}
	return tp_oneshot_name(name, &oneshot);
}
