/* SPDX-License-Identifier: GPL-2.0 */
/*
 * image.h - what a memory image has: its data as extents of pages
 */
#ifndef TELEPAGE_IMAGE_H
#define TELEPAGE_IMAGE_H

#include "genl.h"

struct image {
	int fd;				/* -1: none */
	struct tp_extent *v;
	size_t n;
};

/*
 * Opens @path and finds its data; holes are zero anyway. *@size: of the region, 0: as
 * large as the image. TP_OK, or what was said.
 */
int image_open(struct image *im, const char *path, uint64_t *size);
void image_close(struct image *im);

#endif /* TELEPAGE_IMAGE_H */
