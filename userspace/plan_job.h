/* SPDX-License-Identifier: GPL-2.0 */
/*
 * plan_job.h - what the workers' files share; not for the agent
 */
#ifndef TELEPAGE_PLAN_JOB_H
#define TELEPAGE_PLAN_JOB_H

#include "index.h"
#include "plan_wire.h"
#include "planner.h"
#include "pulse.h"

/*
 * What plans of one job have done, kept for the one that comes when they broke off. Shared
 * memory: a worker may die at any time, so it writes down what it has told the module
 * behind that; what it takes back, before.
 */
struct plan_seen {
	size_t len;			/* of all of it */
	bool ready;			/* what was found is used */
	uint64_t planned[MOVE_REGIONS_MAX];
	size_t first[MOVE_REGIONS_MAX];	/* bit of the region's first page */
	uint8_t has[];			/* a bit for each page that was given a file */
};

struct plan_seen *plan_seen_new(const struct plan_job *job);	/* NULL: no memory */
void plan_seen_free(struct plan_seen *s);	/* NULL is fine */
void plan_seen_put(struct plan_seen *s, unsigned int region, uint64_t first, uint64_t count,
		   bool has);
bool plan_seen_has(const struct plan_seen *s, unsigned int region, uint64_t page);

/* what a worker is told when it is forked */
struct plan_work {
	struct plan_job job;
	int fd;				/* to the other worker, or -1 */
	struct plan_seen *seen;		/* the destination's, */
	bool again;			/* and what an earlier plan has written there */
	bool refuse;			/* the source's: it only says that there will be no plan */
	struct pulse *pulse;		/* signs of life for the agent */
};

int plan_send_main(int ctl, void *work);
int plan_receive_main(int ctl, void *work);

/* --- plan_find.c: which file has a page ---------------------------------------- */

enum plan_kind { PLAN_KEPT, PLAN_DISK, PLAN_SHARED, PLAN_KINDS };

struct plan_finder;

/* where a page is: @file is a number for plan_file(), @block in 4 KiB */
struct plan_place {
	unsigned int file;
	uint64_t block;
};

struct plan_finder *plan_finder_new(const struct plan_job *job, struct tp_nl *nl);
void plan_finder_free(struct plan_finder *f);
/* the table of region @region of the job: what it gets is found by later ones */
void plan_finder_add(struct plan_finder *f, unsigned int region, uint64_t page,
		     const uint8_t *prefix);
void plan_finder_looked(struct plan_finder *f);	/* all pages were added */
/* @last: where the page before it was found, or NULL; it may be @out */
bool plan_find(struct plan_finder *f, unsigned int region, uint64_t page, const uint8_t *prefix,
	       const struct plan_place *last, struct plan_place *out);
/* a descriptor, or negative: it cannot be had (yet) */
int plan_file(struct plan_finder *f, unsigned int file);
enum plan_kind plan_file_kind(const struct plan_finder *f, unsigned int file);
/*
 * The digests of @count blocks from @p on, to be freed; NULL: they are not known. A copy,
 * because the index is a file, in which they may be others when it is looked at again.
 */
digest_t *plan_file_digests(const struct plan_finder *f, const struct plan_place *p,
			    uint64_t count);
/* those of the kept image with @pages pages whose digests have this sum; NULL: there is none */
digest_t *plan_find_kept(const struct plan_finder *f, uint64_t pages, const digest_t sum,
			 unsigned int *file);

/* --- plan_table.c: the first bytes of the digests that a region came with ------- */

struct plan_table;

/* of @region, to be written, and locked until plan_table_looked() or close; NULL: cannot be */
struct plan_table *plan_table_make(struct tp_nl *nl, const char *region, const char *group);
/* of another region, if that is of @group, older than @id, and the one it was made for */
struct plan_table *plan_table_open(struct tp_nl *nl, const char *region, const char *group,
				   uint32_t id);
/* calls @fn for each region that has a table; those of regions that have gone are removed */
void plan_table_each(struct tp_nl *nl, void (*fn)(const char *region, void *arg), void *arg);
uint32_t plan_table_id(const struct plan_table *t);
/* waits until its maker has looked at all pages, has died, or so long */
void plan_table_wait(struct plan_table *t, unsigned int ms);
void plan_table_looked(struct plan_table *t);
/* says whose group @region is, which imports, and nothing of its content */
void plan_table_mark(struct tp_nl *nl, const char *region, const char *group);
/*
 * That of @r, which was here already. @mine: nobody else makes it, so the caller does, from
 * plan_table_filled() on, until plan_table_looked(). NULL: who brought the region said whose it is,
 * or it cannot be made.
 */
struct plan_table *plan_table_local(const struct tp_region *r, const char *group, bool *mine);
#define PLAN_TABLE_CHUNK	16U	/* pages, that are noted at once */
uint64_t plan_table_filled(const struct plan_table *t);
void plan_table_fill(struct plan_table *t, uint64_t pages);	/* those before are in */
void plan_table_close(struct plan_table *t);
uint64_t plan_table_pages(const struct plan_table *t);
uint8_t (*plan_table_prefixes(struct plan_table *t))[PLAN_PREFIX];

/* --- plan_local.c: regions of the group that did not come by a plan ---------------- */

/* is all of it here, and has it been used? One that is to import must not be opened before */
bool plan_local_usable(const struct tp_region *r);
/* calls @fn with the table of each that is older than @id, which is @fn's then; newest first */
void plan_local_each(struct tp_nl *nl, const char *group, uint32_t id,
		     void (*fn)(const char *region, struct plan_table *t, void *arg), void *arg);

/* --- plan_keep.c ----------------------------------------------------------------- */

/*
 * @digests: of all pages, or NULL; 0 or a negative errno, and nothing is kept. @sum: by which
 * the image is known (plan_sum())
 */
int plan_keep(const struct plan_job *job, unsigned int region, digest_t *digests, digest_t sum);
/* SHA-256 of digests */
int plan_sum(const digest_t *digests, uint64_t nr, digest_t sum);
/* region @name, number @id, came with pages whose digests have this sum, and where it came from
 * they were kept; false: that is not known
 */
bool plan_known(const char *name, uint32_t id, digest_t sum);

#endif /* TELEPAGE_PLAN_JOB_H */
