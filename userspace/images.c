// SPDX-License-Identifier: GPL-2.0
/*
 * images.c - files of this host that may have pages of a VM
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "images_store.h"
#include "origin.h"
#include "parse.h"
#include "pulse.h"

/* --- opening images --------------------------------------------------------- */

/*
 * A registered path has no links in it, and none may be put into it later: it would lead to
 * images of other groups. In /dev they are root's, and name devices that have other
 * numbers after the next boot.
 */
static bool in_dev(const char *path)
{
	/* but for what anybody may write to */
	return !strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9) != 0 &&
	       !strstr(path, "/../");
}

/* for reading; neither waits for a pipe nor for anything else that opening may wait for */
static int open_image(const char *path, bool kept, struct stat *st)
{
	bool dev = !kept && in_dev(path);
	int fd = origin_open(path, kept ? O_NOFOLLOW : 0, kept || dev ? 0 : RESOLVE_NO_SYMLINKS,
			     st);

	if (fd >= 0 && dev && !S_ISBLK(st->st_mode)) {
		close(fd);
		return -ENODEV;
	}
	return fd;
}

int images_open(const struct images_entry *e, struct index **ix)
{
	struct stat st;
	int fd = e->malformed ? e->err : e->old ? -EPERM : open_image(e->path, e->kept, &st);

	if (ix)
		*ix = fd < 0 ? NULL : index_open(e->index, fd, NULL);
	/* of use; the image's own time is what its index goes by */
	if (ix && *ix && e->kept)
		utimensat(AT_FDCWD, e->index, NULL, AT_SYMLINK_NOFOLLOW);
	return fd;
}

/* --- what there is ------------------------------------------------------------ */

struct list {
	const char *dir;
	char group[GROUP_LEN];
	struct images_entry *v;
	size_t n, room;
};

void images_free(struct images_entry *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].path);
		free(v[i].index);
	}
	free(v);
}

static int add_entry(struct list *l, const struct images_entry *e)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		struct images_entry *v = realloc(l->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->room = room;
	}
	l->v[l->n++] = *e;
	return 0;
}

bool images_useful(const struct images_entry *e)
{
	return !e->err && (e->indexed || (e->stale && !e->kept));
}

const char *images_error(const struct images_entry *e)
{
	if (e->malformed)
		return "registers nothing: it has to be a file of one line, an absolute path";
	if (e->old)
		return "an older telepage has kept it, nobody can tell for whom: it is not used";
	/* open_image() follows none, so there need not be many levels of them */
	if (e->err == -ELOOP)
		return "has a link in it by now, which is not followed (register what it leads to)";
	return origin_error(e->err);
}

/* the path that a registration has, NULL: it is none, or gone (errno is ENOENT) */
static char *read_link(int group, const char *name)
{
	int fd = openat(group, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[PATH_MAX + 2], *end;
	struct stat st;
	ssize_t n = -1;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		n = read(fd, text, sizeof(text) - 1);
	close(fd);
	errno = EINVAL;
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	end = strchr(text, '\n');
	/* one line, all of it, and nothing else */
	if (text[0] != '/' || !end || end + 1 != text + n)
		return NULL;
	*end = '\0';
	return strdup(text);
}

/* where the index of a registered image is, or is to be; @fd -1: it cannot be had */
static char *place_index(const struct list *l, const char *name, const char *path, int fd,
			 const struct stat *st)
{
	char *here = NULL, *beside = NULL, *dir, *slash;
	bool writable;

	if (asprintf(&here, "%s/%s/%s" LINK_SUFFIX INDEX_SUFFIX, l->dir, l->group, name) < 0)
		return NULL;
	if (fd < 0 || !S_ISREG(st->st_mode))
		return here;
	if (asprintf(&beside, "%s" INDEX_SUFFIX, path) < 0) {
		free(here);
		return NULL;
	}
	if (!index_probe(beside, fd))
		goto beside;
	if (!index_probe(here, fd))
		goto here;
	dir = strdup(path);
	slash = dir ? strrchr(dir, '/') : NULL;
	if (slash)
		slash[slash == dir] = '\0';
	writable = slash && !faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS);
	free(dir);
	if (writable)
		goto beside;
here:
	free(beside);
	return here;
beside:
	free(here);
	return beside;
}

static void look_at(struct images_entry *e, int fd, const struct stat *st)
{
	struct stat ix;
	int probe = index_probe(e->index, fd);
	off_t end = S_ISBLK(st->st_mode) ? lseek(fd, 0, SEEK_END) : st->st_size;

	e->size = end < 0 ? 0 : end;
	e->bytes = S_ISBLK(st->st_mode) ? e->size : (uint64_t)st->st_blocks * 512;
	e->when = st->st_mtime;
	e->indexed = !probe && !e->old;
	e->stale = probe && probe != -ENOENT && !e->old;
	if (!e->kept || fstatat(AT_FDCWD, e->index, &ix, AT_SYMLINK_NOFOLLOW) ||
	    !S_ISREG(ix.st_mode))
		return;
	e->bytes += (uint64_t)ix.st_blocks * 512;
	if (e->when < ix.st_mtime)
		e->when = ix.st_mtime;
}

static int one_file(int group, const char *file, void *arg)
{
	struct images_entry e = { 0 };
	struct list *l = arg;
	struct stat st = { 0 };
	int fd = -EINVAL, err = 0;

	pulse_beat();
	e.old = store_name(file, OLD_SUFFIX, e.name);
	e.kept = e.old || store_name(file, KEPT_SUFFIX, e.name);
	if (!e.kept && !store_name(file, LINK_SUFFIX, e.name))
		return 0;
	snprintf(e.group, sizeof(e.group), "%s", l->group);
	if (e.kept) {
		/* links and pipes are not looked at any further */
		if (fstatat(group, file, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
			return 0;
		if (asprintf(&e.path, "%s/%s/%s", l->dir, l->group, file) < 0)
			return -ENOMEM;
	} else {
		e.path = read_link(group, file);
		if (!e.path && errno == ENOENT)
			return 0;
		e.malformed = !e.path;
		if (e.malformed && asprintf(&e.path, "%s/%s/%s", l->dir, l->group, file) < 0)
			return -ENOMEM;
	}
	if (!e.malformed)
		fd = open_image(e.path, e.kept, &st);
	if (e.kept) {
		if (asprintf(&e.index, "%s" INDEX_SUFFIX, e.path) < 0)
			e.index = NULL;
	} else {
		e.index = place_index(l, e.name, e.path, fd, &st);
	}
	if (!e.index)
		err = -ENOMEM;
	else if (fd < 0)
		e.err = fd;
	else
		look_at(&e, fd, &st);
	if (fd >= 0)
		close(fd);
	if (!err)
		err = add_entry(l, &e);
	if (err) {
		free(e.path);
		free(e.index);
	}
	return err;
}

static int one_group(int store, const char *group, void *arg)
{
	struct list *l = arg;
	int fd = group_open(store, group, false), err;

	/* what is no directory, or gone by now, has none; who may not look does not know */
	if (fd < 0)
		return fd == -EACCES ? fd : 0;
	snprintf(l->group, sizeof(l->group), "%s", group);
	err = store_each(fd, one_file, l);
	close(fd);
	return err;
}

static int by_name(const void *a, const void *b)
{
	const struct images_entry *x = a, *y = b;
	int c = strcmp(x->group, y->group);

	if (!c)
		c = strcmp(x->name, y->name);
	if (!c)
		c = (int)y->kept - (int)x->kept;
	return c ? c : (int)x->old - (int)y->old;
}

int images_list(const char *dir, const char *group, struct images_entry **v, size_t *n)
{
	struct list l = { .dir = dir };
	int store, err;

	*v = NULL;
	*n = 0;
	if (group && !group_ok(group))
		return -EINVAL;
	store = store_open(dir, false);
	if (store < 0)
		return store == -ENOENT ? 0 : store;
	err = group ? one_group(store, group, &l) : store_each(store, one_group, &l);
	close(store);
	if (err) {
		images_free(l.v, l.n);
		return err;
	}
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_name);
	*v = l.v;
	*n = l.n;
	return 0;
}

/* --- registering ----------------------------------------------------------------- */

/* as it is stored: absolute and without links, or as it was given, in /dev */
static int full_path(const char *path, char **full)
{
	*full = in_dev(path) ? strdup(path) : realpath(path, NULL);
	if (!*full)
		return -errno;
	/* the file has it as one line */
	if (strchr(*full, '\n')) {
		free(*full);
		*full = NULL;
		return -EINVAL;
	}
	return 0;
}

static int write_link(const char *dir, int group, const char *group_name, const char *name,
		      const char *path)
{
	char *link = NULL, *text = NULL, *is = NULL;
	int err = -ENOMEM;

	if (asprintf(&link, "%s/%s/%s" LINK_SUFFIX, dir, group_name, name) < 0)
		link = NULL;
	if (asprintf(&text, "%s\n", path) < 0)
		text = NULL;
	if (link && text)
		err = file_make(link, text, 0600);
	/* a second time is as good as once; one that cannot be read is written anew */
	if (err == -EEXIST) {
		is = read_link(group, strrchr(link, '/') + 1);
		if (!is)
			err = file_replace(link, text, 0600);
		else if (!strcmp(is, path))
			err = 0;
	}
	free(is);
	free(link);
	free(text);
	return err;
}

static int look_at_path(const char *path, char **full)
{
	struct stat st;
	int err = full_path(path, full), fd;

	if (err || !*full)
		return err ? err : -ENOMEM;
	fd = open_image(*full, false, &st);
	err = fd < 0 ? fd : S_ISREG(st.st_mode) && !st.st_size ? -ENODATA : 0;
	if (fd >= 0)
		close(fd);
	if (err)
		free(*full);
	return err;
}

int images_can_add(const char *path)
{
	char *full;
	int err = look_at_path(path, &full);

	if (!err)
		free(full);
	return err;
}

int images_add(const char *dir, const char *group, const char *name, const char *path)
{
	int store, fd, err;
	char *full;

	if (!group_ok(group) || !tp_name_ok(name))
		return -EINVAL;
	err = look_at_path(path, &full);
	if (err)
		return err;
	store = store_open(dir, true);
	err = store < 0 ? store : flock(store, LOCK_EX) ? -errno : 0;
	fd = err ? -1 : group_open(store, group, true);
	if (!err)
		err = fd < 0 ? fd : write_link(dir, fd, group, name, full);
	if (fd >= 0)
		close(fd);
	if (store >= 0)
		close(store);
	free(full);
	return err;
}

/* an index beside an image, unless another entry has it too */
static void drop_index(const char *dir, const char *index)
{
	struct images_entry *v;
	bool used = false;
	size_t n;

	if (images_list(dir, NULL, &v, &n))
		return;
	for (size_t i = 0; i < n; i++)
		used |= !strcmp(v[i].index, index);
	images_free(v, n);
	/* whatever else has that name is not ours: one that is in order asks for its file */
	if (!used && index_probe(index, -1) == -EBADF)
		unlink(index);
}

/* is @e in the store still, as the file that @fd is, or registered as the path that it was? */
static bool is_there(const char *dir, const struct images_entry *e, int fd)
{
	char file[STORE_FILE_LEN], *path;
	int store, group;
	struct stat st, now;
	bool there;

	if (e->kept)
		return !fstat(fd, &st) && !fstatat(AT_FDCWD, e->path, &now, AT_SYMLINK_NOFOLLOW) &&
		       st.st_dev == now.st_dev && st.st_ino == now.st_ino;
	store = store_open(dir, false);
	group = store < 0 ? store : group_open(store, e->group, false);
	if (store >= 0)
		close(store);
	if (group < 0)
		return false;
	snprintf(file, sizeof(file), "%s%s", e->name, LINK_SUFFIX);
	path = read_link(group, file);
	there = path && !strcmp(path, e->path);
	free(path);
	close(group);
	return there;
}

void images_indexed(const char *dir, const struct images_entry *e, int fd)
{
	int store;

	if (is_there(dir, e, fd))
		return;
	drop_index(dir, e->index);
	/* it may have been the last thing of the group */
	store = store_open(dir, false);
	if (store < 0)
		return;
	if (!flock(store, LOCK_EX))
		group_tidy(store, e->group);
	close(store);
}

static int drop_file(int group, const char *name, const char *suffix)
{
	char file[STORE_FILE_LEN];

	snprintf(file, sizeof(file), "%s%s", name, suffix);
	return unlinkat(group, file, 0) ? -errno : 0;
}

/* What the image @name is in the store, by its @suffix, with its index: 0 or a negative errno. */
static int drop_image(int group, const char *name, const char *suffix)
{
	char index[16];
	int err;

	snprintf(index, sizeof(index), "%s" INDEX_SUFFIX, suffix);
	/* the index first: it is of no use alone, and nobody would find it */
	drop_file(group, name, index);
	err = drop_file(group, name, suffix);
	/* that of who has made it just now, and has seen the image */
	drop_file(group, name, index);
	return err;
}

int images_remove(const char *dir, const char *group, const char *name, unsigned int kinds)
{
	int store, fd, kept = -ENOENT, old = -ENOENT, link = -ENOENT, err;
	struct images_entry *v;
	char *beside = NULL;
	size_t n;

	if (!group_ok(group) || !tp_name_ok(name))
		return -EINVAL;
	err = images_list(dir, group, &v, &n);
	if (err)
		return err;
	for (size_t i = 0; i < n && !beside; i++)
		if (!v[i].kept && !v[i].malformed && !strcmp(v[i].name, name) &&
		    asprintf(&beside, "%s" INDEX_SUFFIX, v[i].path) < 0)
			beside = NULL;
	images_free(v, n);
	store = store_open(dir, false);
	fd = store < 0 ? store : group_open(store, group, false);
	if (fd < 0) {
		if (store >= 0)
			close(store);
		free(beside);
		return fd;
	}
	if (kinds & IMAGES_KEPT) {
		kept = drop_image(fd, name, KEPT_SUFFIX);
		old = drop_image(fd, name, OLD_SUFFIX);
		if (kept == -ENOENT || (!kept && old != -ENOENT))
			kept = old;
	}
	if (kinds & IMAGES_DISK)
		link = drop_image(fd, name, LINK_SUFFIX);
	close(fd);
	if (!flock(store, LOCK_EX))
		group_tidy(store, group);
	close(store);
	if (!link && beside)
		drop_index(dir, beside);
	free(beside);
	err = kept && kept != -ENOENT ? kept : link && link != -ENOENT ? link : 0;
	return err ? err : kept && link ? -ENOENT : 0;
}
