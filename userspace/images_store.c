// SPDX-License-Identifier: GPL-2.0
/*
 * images_store.c - the directories of the image store
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images_store.h"
#include "parse.h"

#define DIR_FLAGS	(O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* with those above it that are missing; memory of guests is nobody else's business */
static int make_dirs(const char *dir)
{
	char *path = strdup(dir), *p;
	int err = path ? 0 : -ENOMEM;

	for (p = path; !err && p && *p; p++) {
		if (p == path || *p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			err = -errno;
		*p = '/';
	}
	if (!err && mkdir(path, 0700) && errno != EEXIST)
		err = -errno;
	free(path);
	return err;
}

int store_open(const char *dir, bool make)
{
	int err = make ? make_dirs(dir) : 0, fd;

	if (err)
		return err;
	/* the operator's own choice may be a link */
	fd = open(dir, DIR_FLAGS);
	return fd < 0 ? -errno : fd;
}

int group_open(int store, const char *group, bool make)
{
	int fd;

	if (!group_ok(group))
		return -EINVAL;
	if (make && mkdirat(store, group, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(store, group, DIR_FLAGS | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

void group_tidy(int store, const char *group)
{
	/* refused as long as there is anything in it */
	if (group_ok(group))
		unlinkat(store, group, AT_REMOVEDIR);
}

int store_each(int dirfd, store_fn fn, void *arg)
{
	int fd = openat(dirfd, ".", DIR_FLAGS), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (de = readdir(d)))
		err = fn(dirfd, de->d_name, arg);
	closedir(d);
	return err;
}

bool store_name(const char *file, const char *suffix, char name[TELEPAGE_NAME_MAX + 1])
{
	size_t len = strlen(file), tail = strlen(suffix);

	if (len <= tail || len - tail > TELEPAGE_NAME_MAX || strcmp(file + len - tail, suffix) != 0)
		return false;
	memcpy(name, file, len - tail);
	name[len - tail] = '\0';
	return tp_name_ok(name);
}
