/* SPDX-License-Identifier: GPL-2.0 */
/*
 * attach.h - a VMM's userfaultfd is handed to the kernel
 */
#ifndef TELEPAGE_ATTACH_H
#define TELEPAGE_ATTACH_H

#include "genl.h"

struct attach {
	const char *region;
	bool fill;
	uint32_t pid;			/* of the VMM; 0: whoever connects */
};

/* a socket that one VMM may connect to; -1: why not was said */
int attach_listen(const char *path, uint32_t mode, uint32_t uid, uint32_t gid);
/*
 * Waits for one VMM at @listener (which is closed, and @path removed), takes its
 * message and attaches it. An exit status; on success one line was printed.
 */
int attach_one(const struct attach *a, int listener, const char *path);
/* the same with everything known; takes over @fd and @memfd (-1: none) */
int attach_fd(const struct attach *a, int fd, int memfd, struct tp_uffd_range *ranges, size_t nr);
/* how large the region is; 0: why not was said */
uint64_t attach_region_size(const char *region);

#endif /* TELEPAGE_ATTACH_H */
