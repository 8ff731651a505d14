// SPDX-License-Identifier: GPL-2.0
/*
 * images_keep.c - memory images into the store, and out of it when there is no room
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "file.h"
#include "images_store.h"
#include "index_format.h"
#include "parse.h"
#include "tmpfile.h"

struct images_keep {
	int store, group, fd;
	char group_name[GROUP_LEN];
	char name[TELEPAGE_NAME_MAX + 1];
	char *index;			/* the path of it */
	uint64_t size, need;		/* bytes: apparent, and what it takes with its index */
};

/* the file of @k that has @suffix */
static const char *file_of(const struct images_keep *k, const char *suffix, char *buf)
{
	snprintf(buf, STORE_FILE_LEN, "%s%s", k->name, suffix);
	return buf;
}

/* --- room ----------------------------------------------------------------------- */

struct room {
	uint64_t need;			/* bytes, of the image that is to come and its index */
	uint64_t budget;
	uint64_t avail, spare;		/* of the disk: free now, and when we are done */
	uint64_t kept;			/* all kept images */
	uint64_t coming;		/* images that others are writing, all that they take, */
	uint64_t to_come;		/* and what of that the disk has not given yet */
	bool swept;			/* something was left over in the group looked at */
};

/*
 * How much room an image needs stands behind it while it is written, so that others can tell: it is
 * sparse. -1: that is not known.
 */
#define TAIL_LEN	sizeof(uint64_t)

static uint64_t read_tail(int group, const char *file, uint64_t size)
{
	int fd = openat(group, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint64_t need = UINT64_MAX;

	if (fd < 0)
		return UINT64_MAX;
	if (size % TELEPAGE_PAGE_SIZE != TAIL_LEN ||
	    pread(fd, &need, TAIL_LEN, size - TAIL_LEN) != TAIL_LEN)
		need = UINT64_MAX;
	close(fd);
	return need;
}

/* what is being written, and what was left over is gone */
static int sweep_file(int group, const char *file, void *arg)
{
	char name[TELEPAGE_NAME_MAX + 1];
	struct room *r = arg;
	uint64_t size = 0, bytes = 0, need;

	if (store_name(file, KEPT_SUFFIX INDEX_SUFFIX TMP_SUFFIX, name) ||
	    store_name(file, OLD_SUFFIX INDEX_SUFFIX TMP_SUFFIX, name) ||
	    store_name(file, OLD_SUFFIX TMP_SUFFIX, name) ||
	    store_name(file, LINK_SUFFIX INDEX_SUFFIX TMP_SUFFIX, name)) {
		r->swept |= !tmp_sweep(group, file, &size, &bytes);
		return 0;
	}
	if (!store_name(file, KEPT_SUFFIX TMP_SUFFIX, name))
		return 0;
	if (tmp_sweep(group, file, &size, &bytes) != -EBUSY) {
		r->swept = true;
		return 0;
	}
	need = size ? read_tail(group, file, size) : 0;
	size = size ? size + index_bytes(size / TELEPAGE_PAGE_SIZE, size / TELEPAGE_PAGE_SIZE) : 0;
	size = need < size ? need : size;
	r->coming += size;
	r->to_come += size > bytes ? size - bytes : 0;
	return 0;
}

static int sweep_group(int store, const char *group, void *arg)
{
	int fd = group_open(store, group, false);
	struct room *r = arg;

	if (fd < 0)
		return 0;
	r->swept = false;
	store_each(fd, sweep_file, arg);
	close(fd);
	if (r->swept)
		group_tidy(store, group);
	return 0;
}

void images_sweep(const char *dir)
{
	struct room unused = { 0 };
	int store = store_open(dir, false);

	if (store < 0)
		return;
	/* whoever begins one finds its file locked by nobody but who writes it */
	if (!flock(store, LOCK_EX))
		store_each(store, sweep_group, &unused);
	close(store);
}

static bool fits(const struct room *r)
{
	/* each below 2^63, so that sums do not wrap */
	return r->kept + r->coming + r->need <= r->budget &&
	       r->need + r->to_come + r->spare <= r->avail;
}

/*
 * whom it is best to be without: the one that is replaced anyway, then what nobody can use, then
 * the oldest
 */
static int first_to_go(const struct images_entry *v, size_t n, const char *group,
		       const char *name)
{
	int best = -1;

	for (size_t i = 0; i < n; i++) {
		if (!v[i].kept || v[i].err)
			continue;
		if (!v[i].old && !strcmp(v[i].group, group) && !strcmp(v[i].name, name))
			return i;
		if (best < 0 || (v[i].old == v[best].old ? v[i].when < v[best].when : v[i].old))
			best = i;
	}
	return best;
}

static int evict(const char *dir, int store, const char *group, const char *name, struct room *r)
{
	struct images_entry *v;
	struct room all;
	int err, i;
	size_t n;

	err = images_list(dir, NULL, &v, &n);
	if (err)
		return err;
	for (size_t k = 0; k < n; k++)
		if (v[k].kept)
			r->kept += v[k].bytes;
	/* without any: when that is not enough, none has to go */
	all = *r;
	all.avail += all.kept;
	all.kept = 0;
	if (!fits(&all))
		err = all.coming + all.need > all.budget ? -EFBIG : -ENOSPC;
	while (!err && !fits(r)) {
		i = first_to_go(v, n, group, name);
		if (i < 0) {
			err = -ENOSPC;
			break;
		}
		unlink(v[i].index);
		if (unlink(v[i].path) && errno != ENOENT) {
			err = -errno;
			break;
		}
		/* that of who has made it just now, and has seen the image */
		unlink(v[i].index);
		group_tidy(store, v[i].group);
		r->kept -= v[i].bytes;
		r->avail += v[i].bytes;
		v[i].kept = false;
	}
	images_free(v, n);
	return err;
}

static int make_room(const char *dir, int store, const char *group, const char *name,
		     uint64_t need, uint64_t budget)
{
	struct room r = { .need = need, .budget = budget };
	struct statvfs fs;

	if (fstatvfs(store, &fs))
		return -errno;
	r.avail = (uint64_t)fs.f_bavail * fs.f_frsize;
	r.spare = (uint64_t)fs.f_blocks * fs.f_frsize / 20;
	store_each(store, sweep_group, &r);
	return evict(dir, store, group, name, &r);
}

/* of an image of @size with so many bytes that are not zero, and its index; UINT64_MAX: too many */
static uint64_t room_for(uint64_t size, uint64_t data)
{
	if (size > INT64_MAX / 4)
		return UINT64_MAX;
	if (data > size)
		data = size;
	return data + index_bytes(size / TELEPAGE_PAGE_SIZE, data / TELEPAGE_PAGE_SIZE);
}

/* --- keeping ---------------------------------------------------------------------- */

static void keep_free(struct images_keep *k)
{
	if (k->fd >= 0)
		close(k->fd);
	if (k->group >= 0)
		close(k->group);
	close(k->store);
	free(k->index);
	free(k);
}

void images_keep_drop(struct images_keep *k)
{
	char buf[STORE_FILE_LEN];

	if (!k)
		return;
	unlinkat(k->group, file_of(k, KEPT_SUFFIX TMP_SUFFIX, buf), 0);
	if (!flock(k->store, LOCK_EX))
		group_tidy(k->store, k->group_name);
	keep_free(k);
}

int images_keep_fd(const struct images_keep *k)
{
	return k->fd;
}

static int begin(struct images_keep *k, const char *dir, uint64_t budget)
{
	const char *group = k->group_name;
	char buf[STORE_FILE_LEN];
	int err;

	/* one at a time: what one has found free is not another's */
	if (flock(k->store, LOCK_EX))
		return -errno;
	k->group = group_open(k->store, group, true);
	if (k->group < 0)
		return k->group;
	if (asprintf(&k->index, "%s/%s/%s" KEPT_SUFFIX INDEX_SUFFIX, dir, group, k->name) < 0) {
		k->index = NULL;
		return -ENOMEM;
	}
	k->fd = tmp_open(k->group, file_of(k, KEPT_SUFFIX TMP_SUFFIX, buf));
	if (k->fd < 0)
		return k->fd;
	err = make_room(dir, k->store, group, k->name, k->need, budget);
	if (!err)
		err = file_write_at(k->fd, &k->need, TAIL_LEN, k->size);
	if (err)
		unlinkat(k->group, buf, 0);
	return err;
}

/* what @k was begun in may be of nobody else */
static int begin_or_tidy(struct images_keep *k, const char *dir, uint64_t budget)
{
	int err = begin(k, dir, budget);

	if (err && k->group >= 0)
		group_tidy(k->store, k->group_name);
	/* who has it open for longer would keep others from theirs */
	flock(k->store, LOCK_UN);
	return err;
}

int images_keep_open(const char *dir, const char *group, const char *name, uint64_t size,
		     uint64_t data, uint64_t budget, struct images_keep **out)
{
	uint64_t need = room_for(size, data);
	struct images_keep *k;
	int store, err;

	*out = NULL;
	if (!group_ok(group) || !tp_name_ok(name))
		return -EINVAL;
	/* before there is a directory of nothing */
	if (need == UINT64_MAX || need > budget)
		return -EFBIG;
	store = store_open(dir, true);
	if (store < 0)
		return store;
	k = calloc(1, sizeof(*k));
	if (!k) {
		close(store);
		return -ENOMEM;
	}
	k->store = store;
	k->group = -1;
	k->fd = -1;
	k->size = size;
	k->need = need;
	snprintf(k->name, sizeof(k->name), "%s", name);
	snprintf(k->group_name, sizeof(k->group_name), "%s", group);
	err = begin_or_tidy(k, dir, budget);
	if (err)
		keep_free(k);
	else
		*out = k;
	return err;
}

int images_keep_commit(struct images_keep *k, const digest_t *digests, const struct digest_opts *o)
{
	char from[STORE_FILE_LEN], to[STORE_FILE_LEN];
	int err;

	/* a full disk may be told of now only; until then nothing is done to what is there */
	if (ftruncate(k->fd, k->size) || fsync(k->fd)) {
		err = -errno;
		images_keep_drop(k);
		return err;
	}
	/* what it has is of an image that is about to go */
	unlink(k->index);
	/* the indexer finds one that lacks it */
	if (digests)
		index_write(k->fd, k->index, digests, k->size / TELEPAGE_PAGE_SIZE);
	else if (o)
		index_build(k->fd, k->index, o, NULL, NULL);
	file_of(k, KEPT_SUFFIX TMP_SUFFIX, from);
	if (renameat(k->group, from, k->group, file_of(k, KEPT_SUFFIX, to))) {
		err = -errno;
		unlink(k->index);
		images_keep_drop(k);
		return err;
	}
	fsync(k->group);
	keep_free(k);
	return 0;
}
