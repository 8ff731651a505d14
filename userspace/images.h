/* SPDX-License-Identifier: GPL-2.0 */
/*
 * images.h - files of this host that may have pages of a VM: kept memory, registered disks
 *
 * A store is a directory. Names are as those of regions (tp_name_ok(), else -EINVAL); a group
 * is a tenant, whose images are for its own VMs only, or a VM without one (group.h).
 *
 *	DIR/GROUP/NAME.mem		a kept memory image, sparse
 *	DIR/GROUP/NAME.mem.tpi		its index
 *	DIR/GROUP/NAME.img		one that an older telepage has kept, for a group or for a
 *					VM without one: nobody can tell, so it is used for neither
 *	DIR/GROUP/NAME.link		the absolute path of a registered disk or base image
 *	PATH.tpi			its index, beside it if it is a file in a directory
 *					that can be written to, else
 *	DIR/GROUP/NAME.link.tpi		here
 *	*.tmp				being written, by who has it locked; else it is left over
 *
 * A kept image and a registered one may have the same name.
 */
#ifndef TELEPAGE_IMAGES_H
#define TELEPAGE_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <linux/telepage.h>

#include "digest.h"
#include "group.h"
#include "index.h"

#define IMAGES_DIR	"/var/lib/telepage/images"

struct images_entry {
	char group[GROUP_LEN], name[TELEPAGE_NAME_MAX + 1];
	char *path;			/* of the image */
	char *index;			/* and of its index, whether there is one or not */
	bool kept;			/* else registered */
	bool old;			/* kept, but it is not known for whom */
	bool indexed;			/* the index is that of the image as it is now */
	bool stale;			/* there is an index, but not that */
	bool malformed;			/* NAME.link, which is @path then, registers nothing */
	int err;			/* the image cannot be had: negative errno, else 0 */
	uint64_t size;			/* apparent */
	uint64_t bytes;			/* on disk, that of a kept one with its index */
	time_t when;			/* written, or, if that is later, of use (kept ones) */
};

/*
 * All of @dir, or of @group only, by group and name; what is no image of the store (links, pipes,
 * other names) is passed over, but not a NAME.link that is not what it should be: somebody
 * meant it. No directory: no images. 0 or a negative errno.
 */
int images_list(const char *dir, const char *group, struct images_entry **v, size_t *n);
void images_free(struct images_entry *v, size_t n);
/*
 * Can pages come from it? Not without an index. That of a disk that was written to since is as good
 * as most of its blocks are the same; a kept image is written once.
 */
bool images_useful(const struct images_entry *e);
/* of one with an @err, or that is @old: that in words */
const char *images_error(const struct images_entry *e);

/*
 * The image for reading, a descriptor or a negative errno, -EPERM: it is @old. @ix (may be
 * NULL): its index, or NULL without a valid one. With one, a kept image was of use, and is not
 * the next to go.
 */
int images_open(const struct images_entry *e, struct index **ix);

/*
 * To be called when @fd, the image @e of the store @dir, has got its index: that goes again if
 * somebody has removed the image meanwhile, for nobody else would find it.
 */
void images_indexed(const char *dir, const struct images_entry *e, int fd);

/* a memory image on its way into the store */
struct images_keep;

/*
 * Makes room and begins: a file for @size bytes, of which @data at most are not zero, to be written
 * sparsely to images_keep_fd() (what is behind @size there is not the caller's). The
 * image that it replaces, then those that nobody can use, then the oldest kept images, of any
 * group, go until what is to be written fits into
 * @budget (bytes on disk of all kept images) and 5 % of the disk stay free. -EFBIG: it does not
 * fit into @budget, -ENOSPC: the disk has no room; nothing has gone then. -EBUSY: somebody is
 * writing an image of that name.
 */
int images_keep_open(const char *dir, const char *group, const char *name, uint64_t size,
		     uint64_t data, uint64_t budget, struct images_keep **k);
int images_keep_fd(const struct images_keep *k);
/*
 * Both end and free it. Commit puts it on disk and in its place, with an index of @digests (of
 * all of its pages) or, when that is NULL, one that is built now with @o, which reads all
 * of it; or without when @digests and @o are NULL. An index that cannot be written is no
 * failure: the indexer makes it later.
 */
int images_keep_commit(struct images_keep *k, const digest_t *digests,
		       const struct digest_opts *o);
void images_keep_drop(struct images_keep *k);	/* NULL is fine */

/* removes what somebody has left over in the store who died while he wrote it */
void images_sweep(const char *dir);

/*
 * Registers the file or block device @path. -EEXIST: the name is another file's; -ENODEV,
 * -EOPNOTSUPP, -ENODATA: it is neither, as origin_error() says. It stays whose it is: nothing here
 * ever writes to it or removes it.
 */
int images_add(const char *dir, const char *group, const char *name, const char *path);
/* can @path be registered? 0 or what is wrong with it, as above; else images_add()'s is the store's */
int images_can_add(const char *path);

enum { IMAGES_KEPT = 1, IMAGES_DISK = 2, IMAGES_ALL = 3 };

/* what is @kinds of @name, with indexes in the store or of its own; -ENOENT: there is none */
int images_remove(const char *dir, const char *group, const char *name, unsigned int kinds);

#endif /* TELEPAGE_IMAGES_H */
