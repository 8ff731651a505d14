// SPDX-License-Identifier: GPL-2.0
/* Can a userfaultfd poison pages? (6.6) */
#include <linux/userfaultfd.h>
__u64 probe(const struct uffdio_poison *p);
__u64 probe(const struct uffdio_poison *p) { return p->mode; }
