// SPDX-License-Identifier: GPL-2.0
/* Is copy_splice_read() there? (6.5) */
#include <linux/fs.h>
void *probe(void);
void *probe(void) { return copy_splice_read; }
