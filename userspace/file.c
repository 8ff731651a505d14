// SPDX-License-Identifier: GPL-2.0
/*
 * file.c - small files, read and written as a whole
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "loop.h"

char *file_read(const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text;
	ssize_t n;

	if (fd < 0)
		return NULL;
	text = xcalloc(1, max + 2);
	n = read(fd, text, max + 1);
	close(fd);
	if (n < 0 || (size_t)n > max) {
		if (n >= 0)
			errno = EFBIG;
		free(text);
		return NULL;
	}
	return text;
}

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n;

	/* one that is short has no errno; the next one has */
	while (len) {
		n = write(fd, text, len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= n;
		}
	}
	return 0;
}

int file_make(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode), err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, text);
	if (!err && (fchmod(fd, mode) || fsync(fd)))
		err = -errno;
	close(fd);
	if (err)
		unlink(path);
	return err;
}

int file_stage(const char *path, const char *text, mode_t mode)
{
	char *tmp = xasprintf("%s.new", path);
	int err;

	unlink(tmp);
	err = file_make(tmp, text, mode);
	free(tmp);
	return err;
}

int file_commit(const char *path)
{
	char *tmp = xasprintf("%s.new", path);
	int err = 0;

	if (rename(tmp, path)) {
		err = -errno;
		unlink(tmp);
	}
	free(tmp);
	return err;
}

int file_replace(const char *path, const char *text, mode_t mode)
{
	int err = file_stage(path, text, mode);

	return err ? err : file_commit(path);
}

int file_write_at(int fd, const void *buf, size_t len, off_t at)
{
	const char *p = buf;

	/* one that is short has no errno; the next one has */
	while (len) {
		ssize_t n = pwrite(fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		at += n;
		len -= n;
	}
	return 0;
}
