// SPDX-License-Identifier: GPL-2.0
/*
 * journal.c - one small file per move and side
 *
 * Written anew as a whole and renamed into place: a record is the old one or
 * the new one, never half of it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "journal.h"

static void path_of(char *buf, size_t len, const char *side, const char *move)
{
	snprintf(buf, len, "%s/%s-%s.json", agent.state, side, move);
}

static void sync_dir(void)
{
	int fd = open(agent.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

int journal_open(void)
{
	char path[512];
	int fd;

	/* QEMU, whoever it runs as, connects to sockets in here; the files are 0600 */
	if (!mkdir(agent.state, 0700)) {
		if (chmod(agent.state, 0711))
			return -errno;
	} else if (errno != EEXIST) {
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/.lock", agent.state);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	/* never closed: who has the lock is who may undo what the records tell of */
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return 0;
}

int journal_write(const char *side, const char *move, json_t *obj)
{
	char path[512], *text = json_dumps(obj, JSON_COMPACT);
	int err;

	path_of(path, sizeof(path), side, move);
	/* a bug, but no record is better than a wrong one */
	err = text ? file_replace(path, text, 0600) : -EINVAL;
	/*
	 * The new record stands. What this may fail for is lost with the host's power
	 * alone, and VMs and regions go with that as well.
	 */
	if (!err)
		sync_dir();
	free(text);
	if (err)
		note("journal %s: %s", path, strerror(-err));
	return err;
}

void journal_remove(const char *side, const char *move)
{
	char path[512];

	path_of(path, sizeof(path), side, move);
	if (!unlink(path))
		sync_dir();
	else if (errno != ENOENT)
		note("journal %s: %s", path, strerror(errno));
}

void journal_each(const char *side, void (*fn)(const char *move, json_t *obj))
{
	DIR *dir = opendir(agent.state);
	size_t n = strlen(side);
	struct dirent *de;
	char path[512], move[TOKEN_LEN + 1];
	json_t *obj;

	if (!dir)
		return;
	while ((de = readdir(dir))) {
		if (strncmp(de->d_name, side, n) != 0 || de->d_name[n] != '-' ||
		    strlen(de->d_name) != n + 1 + TOKEN_LEN + 5 ||
		    strcmp(de->d_name + n + 1 + TOKEN_LEN, ".json") != 0)
			continue;
		memcpy(move, de->d_name + n + 1, TOKEN_LEN);
		move[TOKEN_LEN] = 0;
		if (!token_ok(move))
			continue;
		path_of(path, sizeof(path), side, move);
		obj = json_load_file(path, 0, NULL);
		if (json_is_object(obj))
			fn(move, obj);
		else
			note("journal %s cannot be read and is left alone", path);
		json_decref(obj);
	}
	closedir(dir);
}
