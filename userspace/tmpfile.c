// SPDX-License-Identifier: GPL-2.0
/*
 * tmpfile.c - files that are being written
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tmpfile.h"

/* the file that @path names is still that one */
static bool is_still(int dirfd, const char *path, const struct stat *st)
{
	struct stat now;

	return !fstatat(dirfd, path, &now, AT_SYMLINK_NOFOLLOW) && now.st_dev == st->st_dev &&
	       now.st_ino == st->st_ino;
}

/* 1: it was put in its place, or removed, before we had it locked */
static int lock(int dirfd, const char *path, int fd, struct stat *st)
{
	if (fstat(fd, st))
		return -errno;
	/* in a directory of others it may be a link to anything */
	if (!S_ISREG(st->st_mode) || st->st_uid != geteuid() || st->st_nlink > 1)
		return -EEXIST;
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return is_still(dirfd, path, st) ? 0 : 1;
}

int tmp_open(int dirfd, const char *path)
{
	struct stat st;
	int fd, err;

	do {
		fd = openat(dirfd, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			    0600);
		if (fd < 0)
			return errno == ELOOP ? -EEXIST : -errno;
		err = lock(dirfd, path, fd, &st);
		if (!err && (fchmod(fd, 0600) || ftruncate(fd, 0)))
			err = -errno;
		if (err)
			close(fd);
	} while (err > 0);
	return err ? err : fd;
}

int tmp_sweep(int dirfd, const char *path, uint64_t *size, uint64_t *bytes)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err;
	struct stat st;

	if (fd < 0)
		return -errno;
	err = lock(dirfd, path, fd, &st);
	if (!err && unlinkat(dirfd, path, 0))
		err = -errno;
	if (err == -EBUSY) {
		*size = st.st_size;
		*bytes = (uint64_t)st.st_blocks * 512;
	}
	close(fd);
	return err > 0 ? 0 : err;
}
