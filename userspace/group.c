// SPDX-License-Identifier: GPL-2.0
/*
 * group.c - whose files may have pages of a VM
 */
#include <stdio.h>

#include "group.h"
#include "parse.h"

#define OWN	'.'

bool group_ok(const char *group)
{
	return tp_name_ok(group + (*group == OWN));
}

void group_set(char group[GROUP_LEN], const char *name, const char *own)
{
	if (name)
		snprintf(group, GROUP_LEN, "%s", name);
	else
		snprintf(group, GROUP_LEN, "%c%s", OWN, own);
}

const char *group_name(const char *group)
{
	return *group == OWN ? NULL : group;
}

const char *group_own(const char *group)
{
	return *group == OWN ? group + 1 : NULL;
}

const char *group_text(char buf[GROUP_TEXT_LEN], const char *group)
{
	if (*group == OWN)
		snprintf(buf, GROUP_TEXT_LEN, "none (%s)", group + 1);
	else
		snprintf(buf, GROUP_TEXT_LEN, "%s", group);
	return buf;
}
