// SPDX-License-Identifier: GPL-2.0
/* Does filemap_alloc_folio() take a memory policy? (7.x) */
#include <linux/pagemap.h>
struct folio *probe(void);
struct folio *probe(void) { return filemap_alloc_folio(GFP_KERNEL, 0, NULL); }
