/* SPDX-License-Identifier: GPL-2.0 */
/*
 * group.h - whose files may have pages of a VM: those of its group, or its own
 *
 * One string says both, in memory and as the name of a directory or in a file:
 *
 *	NAME		the group (tenant) NAME, which the VM was given
 *	.NAME		no group: VM NAME, or region NAME of an import, by itself
 *
 * No name of a group, VM or region has a '.' in front (tp_name_ok()), so that neither is ever
 * taken for the other.
 */
#ifndef TELEPAGE_GROUP_H
#define TELEPAGE_GROUP_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/telepage.h>

#define GROUP_LEN	(TELEPAGE_NAME_MAX + 2)

/* for people: "NAME", or "none (NAME)", which is no name as it has a space in it */
#define GROUP_TEXT_LEN	(TELEPAGE_NAME_MAX + 16)

bool group_ok(const char *group);

/* group @name, or, when that is NULL, what @own is by itself; both are names */
void group_set(char group[GROUP_LEN], const char *name, const char *own);

/* of one that is OK: its name, NULL if there is no group; who it is then, NULL if there is one */
const char *group_name(const char *group);
const char *group_own(const char *group);

/*
 * The first line of the file @path; 0, or @name is "": a negative errno, -EINVAL: that is no name
 * of a group.
 */
int group_read(const char *path, char name[TELEPAGE_NAME_MAX + 1]);

const char *group_text(char buf[GROUP_TEXT_LEN], const char *group);

#endif /* TELEPAGE_GROUP_H */
