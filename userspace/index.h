/* SPDX-License-Identifier: GPL-2.0 */
/*
 * index.h - which content a file has where: digests of its 4 KiB blocks, to look up
 *
 * An index is a hint. Nothing here trusts it: whatever is in the file, functions answer or
 * refuse, and what they answer is in range. Who takes a page because of it has to verify
 * the page's content.
 */
#ifndef TELEPAGE_INDEX_H
#define TELEPAGE_INDEX_H

#include "digest.h"

#define INDEX_SUFFIX	".tpi"

struct index;

#define INDEX_OPEN_MAX	64		/* that a process may have open */

/* in pages; true: go on */
typedef bool (*index_progress_fn)(uint64_t done, uint64_t total, void *arg);

/*
 * Makes the index @path of what @fd is, by way of @path.tmp; a block that the end of the file
 * cuts is not in it. 0 or a negative errno, and then @path is as it was: -ESTALE: the file has
 * changed meanwhile, -EBUSY: somebody else is making the same index, -EEXIST: what is there (or
 * @path.tmp) is something else, -EFBIG: over 16 TiB, -ECANCELED: @progress has said so.
 * @o and @progress may be NULL.
 */
int index_build(int fd, const char *path, const struct digest_opts *o, index_progress_fn progress,
		void *arg);
/* the same with digests that are known, of all of its blocks (else -EINVAL) */
int index_write(int fd, const char *path, const digest_t *digests, uint64_t nr);
/* @path.tmp goes if somebody has left it over who died while he made the index @path */
void index_sweep(const char *path);

/*
 * Whether @path is an index of what @fd is now, from its first bytes. 0, -ENOENT: there is none,
 * -ESTALE: of another file or of what it was before it changed, -EBADMSG: it is no index, or
 * another errno.
 */
int index_probe(const char *path, int fd);

/*
 * NULL with @why (words, never freed; may be NULL) when it is none or not that of @fd. The file
 * is mapped; if it is cut or its disk fails while it is, what is lost reads as zeros.
 */
struct index *index_open(const char *path, int fd, const char **why);
/*
 * The same of one that may be of what @fd was before it changed, if most of it seems to be there
 * still: it reads some blocks. NULL: it is none, or that is not so.
 */
struct index *index_open_stale(const char *path, int fd);
void index_close(struct index *ix);		/* NULL is fine */

/* reads all of it: 0, or -EBADMSG when it is not what was written or is not in order */
int index_check(const struct index *ix);

uint64_t index_pages(const struct index *ix);
/* of page @page, zeros for a zero page; NULL when there is no such page */
const uint8_t *index_digest(const struct index *ix, uint64_t page);
/*
 * The lowest page whose digest begins with these 8 bytes; false: there is none. Zero pages are
 * not found. Fit for use by several threads.
 */
bool index_find(const struct index *ix, const uint8_t prefix[8], uint64_t *page);

#endif /* TELEPAGE_INDEX_H */
