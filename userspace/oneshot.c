// SPDX-License-Identifier: GPL-2.0
/*
 * oneshot.c - commands that are one call for one name
 */
#include <getopt.h>

#include "oneshot.h"
#include "parse.h"

int tp_oneshot_name(const char *name, const struct tp_oneshot *o)
{
	struct tp_nl *nl;
	int err, status;

	status = tp_open(&nl, o->verb);
	if (status)
		return status;
	err = o->call(nl, name);
	if (err)
		status = tp_fail_nl(nl, err, NULL, "%s %s", o->verb, name);
	tp_nl_close(nl);
	return status;
}

int tp_oneshot(int argc, char **argv, const struct tp_oneshot *o)
{
	static const struct option none[] = { { 0 } };

	if (getopt_long(argc, argv, "", none, NULL) != -1)
		return TP_USAGE;
	if (argc - optind != 1)
		return tp_usage(argv[0], "takes one NAME");
	if (!tp_name_ok(argv[optind]))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, argv[optind]);
	return tp_oneshot_name(argv[optind], o);
}
