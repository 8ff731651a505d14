// SPDX-License-Identifier: GPL-2.0
/*
 * plan_table.c - what regions came with: the first bytes of their pages' digests
 *
 * A file per region in the agent's state directory, mapped by those who use it. Whoever
 * writes one has it locked until all pages are in, so that a plan which begins meanwhile
 * can wait for what it may find there.
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
#define WAIT_MS		30000		/* for another plan's first pass */
#define WAIT_STEP_MS	20

struct head {
	char magic[8];
	char group[GROUP_LEN];
	uint64_t pages;
	uint32_t id;			/* of the region that has this name and content */
	uint32_t zero;
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

struct plan_table *plan_table_make(struct tp_nl *nl, const char *region, const char *group)
{
	char *path = path_of(region), *dir = xasprintf("%s/plan", agent.state);
	struct plan_table *t = NULL;
	struct tp_region r;
	uint64_t pages;
	int fd;

	mkdir(dir, 0700);
	free(dir);
	/* who has an older one open keeps that */
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
	if (fd < 0)
		return NULL;
	if (tp_region_get(nl, region, &r) || flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return NULL;
	}
	pages = r.size / TELEPAGE_PAGE_SIZE;
	/* all of it is there before it is mapped: a full disk must not be our end */
	if (posix_fallocate(fd, 0, len_of(pages))) {
		close(fd);
		return NULL;
	}
	t = map(fd, pages, true);
	if (!t)
		return NULL;
	copy_str(t->head->group, group);
	t->head->pages = pages;
	t->head->id = r.id;
	memcpy(t->head->magic, MAGIC, sizeof(MAGIC));
	return t;
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

void plan_table_wait(struct plan_table *t)
{
	struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000L };
	uint64_t until = now_ms() + WAIT_MS;

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
