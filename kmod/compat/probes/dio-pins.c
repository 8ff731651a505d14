// SPDX-License-Identifier: GPL-2.0
/* Does direct I/O pin pages, so that folio_maybe_dma_pinned() tells? (6.5) */
#include <linux/uio.h>
ssize_t probe(struct iov_iter *i, struct page ***pages, size_t *offset);
ssize_t probe(struct iov_iter *i, struct page ***pages, size_t *offset)
{
	return iov_iter_extract_pages(i, pages, PAGE_SIZE, 1, 0, offset);
}
