// SPDX-License-Identifier: GPL-2.0
/* Is copy_folio_from_iter_atomic() there? (6.10) */
#include <linux/uio.h>
size_t probe(struct folio *folio, struct iov_iter *i);
size_t probe(struct folio *folio, struct iov_iter *i)
{
	return copy_folio_from_iter_atomic(folio, 0, PAGE_SIZE, i);
}
