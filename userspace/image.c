// SPDX-License-Identifier: GPL-2.0
/*
 * image.c - what a memory image has: its data as extents of pages
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "image.h"
#include "origin.h"

static int add(struct image *im, uint64_t start, uint64_t end)
{
	struct tp_extent *v = realloc(im->v, (im->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	im->v = v;
	im->v[im->n++] = (struct tp_extent){
		.start = start,
		.count = end - start,
		.offset = start * TELEPAGE_PAGE_SIZE,
	};
	return 0;
}

/* whole pages around each run of data; runs that then touch become one */
static int find_data(struct image *im, uint64_t size)
{
	uint64_t pos = 0;

	while (pos < size) {
		off_t data = lseek(im->fd, pos, SEEK_DATA), hole;
		uint64_t start, end;
		int err;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(im->fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		start = data / TELEPAGE_PAGE_SIZE;
		end = ((uint64_t)hole + TELEPAGE_PAGE_SIZE - 1) / TELEPAGE_PAGE_SIZE;
		if (im->n && start <= im->v[im->n - 1].start + im->v[im->n - 1].count)
			im->v[im->n - 1].count = end - im->v[im->n - 1].start;
		else if ((err = add(im, start, end)))
			return err;
		pos = end * TELEPAGE_PAGE_SIZE;
	}
	return 0;
}

int image_open(struct image *im, const char *path, uint64_t *size)
{
	struct stat st;
	uint64_t bytes;
	off_t end;
	int err;

	*im = (struct image){ .fd = origin_open(path, 0, 0, &st) };
	if (im->fd < 0)
		return tp_fail("image %s: %s", path, origin_error(im->fd));
	end = lseek(im->fd, 0, SEEK_END);
	if (end <= 0) {
		err = end ? -errno : -ENODATA;
		image_close(im);
		return tp_fail("image %s: %s", path, origin_error(err));
	}
	bytes = end;
	if (bytes % TELEPAGE_PAGE_SIZE) {
		image_close(im);
		return tp_fail("image %s: its size is no multiple of 4 KiB", path);
	}
	if (!*size)
		*size = bytes;
	if (bytes > *size) {
		image_close(im);
		return tp_fail("image %s: is larger than the region", path);
	}
	err = find_data(im, bytes);
	if (err == -EINVAL && !im->n)	/* it cannot tell: all of it is data */
		err = add(im, 0, bytes / TELEPAGE_PAGE_SIZE);
	if (err) {
		image_close(im);
		return tp_fail("image %s: %s", path, strerror(-err));
	}
	return TP_OK;
}

void image_close(struct image *im)
{
	if (im->fd >= 0)
		close(im->fd);
	free(im->v);
	*im = (struct image){ .fd = -1 };
}
