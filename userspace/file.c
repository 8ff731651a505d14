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
	/* of a text with a NUL only what is before it would be looked at */
	if (n < 0 || (size_t)n > max || memchr(text, 0, n)) {
		if (n >= 0)
			errno = (size_t)n > max ? EFBIG : EILSEQ;
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

/* @mode 0: it is no file of ours, and has one. Some filesystems tell only then of a full disk. */
static int write_and_close(int fd, const char *text, mode_t mode)
{
	int err = write_all(fd, text);

	if (!err && mode && (fchmod(fd, mode) || fsync(fd)))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

int file_make(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode), err;

	if (fd < 0)
		return -errno;
	err = write_and_close(fd, text, mode);
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

int file_put(const char *path, const char *text, mode_t mode)
{
	struct stat st;
	int fd, err;
	char *tmp;

	if (!lstat(path, &st) && !S_ISREG(st.st_mode)) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
		return fd < 0 ? -errno : write_and_close(fd, text, 0);
	}
	tmp = xasprintf("%s.XXXXXX", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	err = fd < 0 ? -errno : write_and_close(fd, text, mode);
	if (!err && rename(tmp, path))
		err = -errno;
	if (fd >= 0 && err)
		unlink(tmp);
	free(tmp);
	return err;
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
