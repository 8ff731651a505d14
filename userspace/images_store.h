/* SPDX-License-Identifier: GPL-2.0 */
/*
 * images_store.h - what the files of the image store share
 */
#ifndef TELEPAGE_IMAGES_STORE_H
#define TELEPAGE_IMAGES_STORE_H

#include "images.h"

#define KEPT_SUFFIX	".mem"
#define OLD_SUFFIX	".img"
#define LINK_SUFFIX	".link"

/*
 * The directory of a store or of a group in it, made first if @make; a group is a directory
 * itself, no link to one. A descriptor or a negative errno, -EINVAL: the name is none.
 */
int store_open(const char *dir, bool make);
int group_open(int store, const char *group, bool make);
/*
 * A group of which nothing is left is none: its directory goes. Who puts something into one has
 * the store locked (flock()) from group_open() until it is there, and so has who calls this.
 */
void group_tidy(int store, const char *group);

/* calls @fn for each group, or for each name in one; stops when it returns an error */
typedef int (*store_fn)(int dirfd, const char *name, void *arg);
int store_each(int dirfd, store_fn fn, void *arg);

/* @file is "NAME" with @suffix behind it, and that name is one */
bool store_name(const char *file, const char *suffix, char name[TELEPAGE_NAME_MAX + 1]);

/* "NAME" with suffixes; large enough for all of them */
#define STORE_FILE_LEN	(TELEPAGE_NAME_MAX + 32)

#endif /* TELEPAGE_IMAGES_STORE_H */
