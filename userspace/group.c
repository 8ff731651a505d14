// SPDX-License-Identifier: GPL-2.0
/*
 * group.c - whose files may have pages of a VM
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "group.h"
#include "parse.h"

#define OWN	'.'
#define FILE_MAX	4096

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

int group_read(const char *path, char name[TELEPAGE_NAME_MAX + 1])
{
	char *text = file_read(path, FILE_MAX);
	int err = text ? 0 : -errno;

	*name = 0;
	if (text) {
		text[strcspn(text, "\n")] = 0;
		if (tp_name_ok(text))
			snprintf(name, TELEPAGE_NAME_MAX + 1, "%s", text);
		else
			err = -EINVAL;
	}
	free(text);
	return err;
}

const char *group_text(char buf[GROUP_TEXT_LEN], const char *group)
{
	if (*group == OWN)
		snprintf(buf, GROUP_TEXT_LEN, "none (%s)", group + 1);
	else
		snprintf(buf, GROUP_TEXT_LEN, "%s", group);
	return buf;
}
