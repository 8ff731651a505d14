// SPDX-License-Identifier: GPL-2.0
/*
 * source.c - how the pages of a region or a file are read
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/string.h>
#include "link.h"
#include "telepage.h"

/**
 * tp_page_is_zero - is a page all zero?
 * @page: the page
 */
bool tp_page_is_zero(struct page *page)
{
	void *p = kmap_local_page(page);
	bool zero = !memchr_inv(p, 0, PAGE_SIZE);

	kunmap_local(p);
	return zero;
}

/*
 * A region gives its pages out only while it cannot change: not when the fence was
 * asked for, but when the last writer was seen behind it.
 */
static bool tp_source_region_open(const struct tp_export *ex)
{
	/* Pairs with smp_store_release() in tp_freeze(). */
	return smp_load_acquire(&ex->region->fenced);
}

static int tp_source_region_get(struct tp_export *ex, pgoff_t index, struct page **page)
{
	struct folio *folio = tp_folio_get(ex->region, index, 0);

	if (!folio)
		return TP_SRC_ZERO;
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	*page = folio_page(folio, 0);
	return 0;
}

const struct tp_source_ops tp_source_region = {
	.open	= tp_source_region_open,
	.get	= tp_source_region_get,
};

static bool tp_source_file_open(const struct tp_export *ex)
{
	return true;
}

/**
 * tp_read_page - a page's worth of a file
 * @file: open for reading
 * @pos: bytes into it
 * @page: where to, zero behind the end of the file
 *
 * Context: sleeps for the file's own I/O; without locks.
 * Return: 0, -ENODATA behind the end of the file, or what read() would say; never
 * -EAGAIN.
 */
int tp_read_page(struct file *file, loff_t pos, struct page *page)
{
	size_t done = 0;

	while (done < PAGE_SIZE) {
		ssize_t n = kernel_read(file, page_address(page) + done, PAGE_SIZE - done, &pos);

		if (n < 0)
			return n == -EAGAIN ? -EIO : n;
		if (!n)
			break;
		done += n;
	}
	if (!done)
		return -ENODATA;
	/* the last page of a file that does not end on a page */
	memset(page_address(page) + done, 0, PAGE_SIZE - done);
	return 0;
}

/*
 * The content is copied: a file can change while it is sent, and one page must be
 * of one moment. Behind the end of a file that has become shorter there is no
 * content to give.
 */
static int tp_source_file_get(struct tp_export *ex, pgoff_t index, struct page **page)
{
	struct page *p = alloc_page(GFP_KERNEL);
	int err;

	if (!p)
		return -ENOMEM;
	err = tp_read_page(ex->file, ex->offset + ((loff_t)index << PAGE_SHIFT), p);
	if (err)
		put_page(p);
	else
		*page = p;
	return err;
}

const struct tp_source_ops tp_source_file = {
	.open	= tp_source_file_open,
	.get	= tp_source_file_get,
};
