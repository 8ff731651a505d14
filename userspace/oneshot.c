// SPDX-License-Identifier: GPL-2.0
/*
 * oneshot.c - commands that are one call for one name
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

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
		status = tp_fail_nl(nl, err, o->hint ? o->hint(name, err) : NULL, "%s %s",
				    o->verb, name);
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

int tp_yes_name(int argc, char **argv, bool *yes, const char **name)
{
	static const struct option options[] = {
		{ "yes", no_argument, NULL, 'y' },
		{ 0 }
	};
	int o;

	*yes = false;
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o != 'y')
			return TP_USAGE;
		*yes = true;
	}
	if (argc - optind != 1)
		return tp_usage(argv[0], "takes one NAME");
	*name = argv[optind];
	if (!tp_name_ok(*name))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, *name);
	return TP_OK;
}

bool tp_confirmed(void)
{
	char answer[16];

	return fgets(answer, sizeof(answer), stdin) && !strcmp(answer, "yes\n");
}
