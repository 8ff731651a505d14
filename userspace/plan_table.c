// SPDX-License-Identifier: GPL-2.0
/*
 * plan_table.c - what regions came with: the first bytes of their pages' digests
 *
 * A file per region in the agent's state directory, mapped by those who use it. Whoever
 * writes one has it locked until all pages are in, so that a plan which begins meanwhile
 * can wait for what it may find there. One of a region that has not come by a plan is made when
 * a plan looks for what it has (plan_local.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "plan_job.h"

#define MAGIC		"TPPLAN2"	/* 1: a group and a VM of its name were the same */
#define MAGIC_LOCAL	"TPLOCAL"	/* of what was here already */
#define LOCAL_S		3600		/* so long after it was made that is what the region has */
#define WAIT_STEP_MS	20

struct head {
	char magic[8];
	char group[GROUP_LEN];
	uint64_t pages;
	uint32_t id;			/* of the region that has this name and content */
	uint32_t looked;		/* MAGIC_LOCAL: chunks of pages that are in */
};

struct plan_table {
	int fd;
	struct head *head;
	size_t len;
};

static char *path_of(const char *region)
{
	return xasprintf("%s/plan/%s", agent.state, region);
}

static size_t len_of(uint64_t pages)
{
	return sizeof(struct head) + pages * PLAN_PREFIX;
}

static struct plan_table *map(int fd, uint64_t pages, bool write)
{
	struct plan_table *t = xcalloc(1, sizeof(*t));

	t->fd = fd;
	t->len = len_of(pages);
	t->head = mmap(NULL, t->len, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
		       0);
	if (t->head != MAP_FAILED)
		return t;
	free(t);
	close(fd);
	return NULL;
}

/* an empty file in the place of what is there; who has that open keeps it */
static int new_file(const char *region)
{
	char *path = path_of(region), *dir = xasprintf("%s/plan", agent.state);
	int fd;

	mkdir(dir, 0700);
	free(dir);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
	return fd;
}

static struct plan_table *make(const struct tp_region *r, const char *group,
			       const char magic[sizeof(MAGIC)])
{
	uint64_t pages = r->size / TELEPAGE_PAGE_SIZE;
	int fd = new_file(r->name);
	struct plan_table *t;

	if (fd < 0)
		return NULL;
	/* all of it is there before it is mapped: a full disk must not be our end */
	if (flock(fd, LOCK_EX | LOCK_NB) || posix_fallocate(fd, 0, len_of(pages))) {
		close(fd);
		return NULL;
	}
	t = map(fd, pages, true);
	if (!t)
		return NULL;
	copy_str(t->head->group, group);
	t->head->pages = pages;
	t->head->id = r->id;
	memcpy(t->head->magic, magic, sizeof(t->head->magic));
	return t;
}

struct plan_table *plan_table_make(struct tp_nl *nl, const char *region, const char *group)
{
	struct tp_region r;

	return tp_region_get(nl, region, &r) ? NULL : make(&r, group, MAGIC);
}

void plan_table_mark(struct tp_nl *nl, const char *region, const char *group)
{
	struct head h = { .magic = MAGIC };
	struct tp_region r;
	int fd;

	if (tp_region_get(nl, region, &r))
		return;
	copy_str(h.group, group);
	h.pages = r.size / TELEPAGE_PAGE_SIZE;
	h.id = r.id;
	fd = new_file(region);
	/* half of one is none, and says as little of the content */
	if (fd < 0 || write(fd, &h, sizeof(h)) != sizeof(h))
		note("region %s: its group is not noted: %s", region, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool is_as_it_is(int fd, const struct head *h, const struct tp_region *r)
{
	time_t now = time(NULL);
	struct stat st;

	return h->pages == r->size / TELEPAGE_PAGE_SIZE && !fstat(fd, &st) &&
	       (uint64_t)st.st_size == len_of(h->pages) && st.st_mtime <= now &&
	       now - st.st_mtime < LOCAL_S;
}

struct plan_table *plan_table_local(const struct tp_region *r, const char *group, bool *mine)
{
	char *path = path_of(r->name);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct head h = { 0 };

	free(path);
	*mine = true;
	if (fd < 0)
		return make(r, group, MAGIC_LOCAL);
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h))
		h.id = 0;
	if (h.id == r->id && !memcmp(h.magic, MAGIC, sizeof(MAGIC))) {
		close(fd);
		return NULL;
	}
	if (h.id == r->id && !memcmp(h.magic, MAGIC_LOCAL, sizeof(MAGIC_LOCAL)) &&
	    !strncmp(h.group, group, sizeof(h.group)) && is_as_it_is(fd, &h, r)) {
		*mine = !flock(fd, LOCK_EX | LOCK_NB);
		return map(fd, h.pages, true);
	}
	close(fd);
	return make(r, group, MAGIC_LOCAL);
}

uint64_t plan_table_filled(const struct plan_table *t)
{
	uint64_t pages = (uint64_t)t->head->looked * PLAN_TABLE_CHUNK;

	return pages < plan_table_pages(t) ? pages : plan_table_pages(t);
}

void plan_table_fill(struct plan_table *t, uint64_t pages)
{
	t->head->looked = (pages + PLAN_TABLE_CHUNK - 1) / PLAN_TABLE_CHUNK;
}

struct plan_table *plan_table_open(struct tp_nl *nl, const char *region, const char *group,
				   uint32_t id)
{
	char *path = path_of(region);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct tp_region r;
	struct head h;
	struct stat st;

	free(path);
	if (fd < 0)
		return NULL;
	if (pread(fd, &h, sizeof(h), 0) == sizeof(h) && !memcmp(h.magic, MAGIC, sizeof(MAGIC)) &&
	    !strncmp(h.group, group, sizeof(h.group)) && h.id < id &&
	    !fstat(fd, &st) && (uint64_t)st.st_size == len_of(h.pages) &&
	    !tp_region_get(nl, region, &r) && r.id == h.id &&
	    r.size / TELEPAGE_PAGE_SIZE == h.pages)
		return map(fd, h.pages, false);
	close(fd);
	return NULL;
}

void plan_table_wait(struct plan_table *t, unsigned int ms)
{
	struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000L };
	uint64_t until = now_ms() + ms;

	while (flock(t->fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK && now_ms() < until) {
		/* the other plan is watched by itself */
		pulse_beat();
		nanosleep(&step, NULL);
	}
	flock(t->fd, LOCK_UN);
}

void plan_table_looked(struct plan_table *t)
{
	flock(t->fd, LOCK_UN);
}

void plan_table_close(struct plan_table *t)
{
	if (!t)
		return;
	munmap(t->head, t->len);
	close(t->fd);
	free(t);
}

uint64_t plan_table_pages(const struct plan_table *t)
{
	return (t->len - sizeof(struct head)) / PLAN_PREFIX;
}

uint32_t plan_table_id(const struct plan_table *t)
{
	return t->head->id;
}

uint8_t (*plan_table_prefixes(struct plan_table *t))[PLAN_PREFIX]
{
	return (void *)(t->head + 1);
}

void plan_table_each(struct tp_nl *nl, void (*fn)(const char *region, void *arg), void *arg)
{
	char *path = xasprintf("%s/plan", agent.state);
	DIR *dir = opendir(path);
	struct dirent *d;
	struct tp_region r;

	free(path);
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		if (!name_ok(d->d_name))
			continue;
		if (tp_region_get(nl, d->d_name, &r) == -ENOENT)
			unlinkat(dirfd(dir), d->d_name, 0);
		else
			fn(d->d_name, arg);
	}
	closedir(dir);
}
