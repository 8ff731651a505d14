// SPDX-License-Identifier: GPL-2.0
/*
 * mount.c - where the telepage filesystem is mounted
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cmd.h"

const char *tp_dir(const char *opt)
{
	const char *env;

	if (opt)
		return opt;
	env = getenv(TP_DIR_ENV);
	return env && *env ? env : TP_DEFAULT_DIR;
}

/* mountinfo writes blank, tab, newline and backslash as \ooo */
static void unescape_octal(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0');
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/*
 * Looks for @dir (an absolute path without links) among the mounts. With several
 * on top of each other the last one counts, it is the one that is seen.
 */
static int is_mounted(const char *dir, bool *mounted)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t room = 0;
	char *line = NULL;

	*mounted = false;
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		char *save = NULL, *field = strtok_r(line, " \n", &save), *where = NULL;

		/* id, parent, device, root, mount point, options, optional…, "-", type */
		for (int i = 0; field && strcmp(field, "-") != 0; i++) {
			if (i == 4)
				where = field;
			field = strtok_r(NULL, " \n", &save);
		}
		field = field ? strtok_r(NULL, " \n", &save) : NULL;
		if (!where || !field)
			continue;
		unescape_octal(where);
		if (!strcmp(where, dir))
			*mounted = !strcmp(field, TELEPAGE_FS_NAME);
	}
	free(line);
	fclose(f);
	return 0;
}

/* what is in a directory would be hidden by a mount */
static bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = true;

	if (!d)
		return true;	/* the mount will say why not */
	while (empty && (e = readdir(d)))
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	closedir(d);
	return empty;
}

int tp_mount(const char *dir)
{
	bool mounted;
	char *real;
	int err;

	/* only the last part of the path is made: a typing error is no wish */
	if (mkdir(dir, 0755) && errno != EEXIST)
		return -errno;
	real = realpath(dir, NULL);
	if (!real)
		return -errno;
	err = is_mounted(real, &mounted);
	if (!err && !mounted && !is_empty(real))
		err = -ENOTEMPTY;
	if (!err && !mounted &&
	    mount(TELEPAGE_FS_NAME, real, TELEPAGE_FS_NAME, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		err = -errno;
	free(real);
	return err;
}
