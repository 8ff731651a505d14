/* SPDX-License-Identifier: GPL-2.0 */
/*
 * index_format.h - an index file, and which file it is of
 *
 *	header		128 bytes, below
 *	digest[nr_pages]	SHA-256 of each block of 4 KiB in order, 32 bytes; zeros: the block
 *				is zero
 *	order[nr_order]		numbers of the blocks that are not, 4 bytes, by the first 8 bytes
 *				of their digest (as memcmp() has it), equal ones by number
 *
 * All numbers are little-endian. So a page takes 36 bytes: 9 MiB for each GiB.
 *
 * It is of any file that has pages of guests in it: a memory image, or a raw or qcow2 disk image.
 * Filesystems of guests have blocks of 4 KiB, and qcow2's clusters are aligned to 64 KiB in
 * the file, so blocks are found in it the same way; only what it compressed is not.
 *
 * A file is told by its size, when it was written, and its inode. The device's number is not the
 * same after the next boot.
 */
#ifndef TELEPAGE_INDEX_FORMAT_H
#define TELEPAGE_INDEX_FORMAT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include <linux/telepage.h>

#include "digest.h"

#define INDEX_MAGIC	"TPINDEX1"
#define INDEX_VERSION	1
#define INDEX_PAGES_MAX	(1ULL << 32)

struct index_header {
	uint8_t magic[8];
	uint32_t version;
	uint32_t page_size;
	uint64_t file_size;
	uint64_t file_mtime;		/* ns since 1970 */
	uint64_t file_inode;
	uint64_t nr_pages;
	uint64_t nr_order;
	uint8_t sum[DIGEST_SIZE];	/* SHA-256 of everything behind the header */
	uint8_t zero[40];
};

_Static_assert(sizeof(struct index_header) == 128, "the file's header");

struct index_of {
	uint64_t size, mtime, inode;
};

/* what @fd is; -EINVAL: neither a file nor a block device */
int index_identify(int fd, struct index_of *of);

static inline uint64_t index_bytes(uint64_t nr_pages, uint64_t nr_order)
{
	return sizeof(struct index_header) + nr_pages * DIGEST_SIZE + nr_order * sizeof(uint32_t);
}

/* what order[] is sorted by */
static inline uint64_t index_key(const uint8_t *digest)
{
	uint64_t key;

	memcpy(&key, digest, sizeof(key));
	return be64toh(key);
}

#endif /* TELEPAGE_INDEX_FORMAT_H */
