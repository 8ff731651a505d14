// SPDX-License-Identifier: GPL-2.0
/* Is simple_inode_init_ts() there? (6.6) */
#include <linux/fs.h>
void probe(struct inode *inode);
void probe(struct inode *inode) { simple_inode_init_ts(inode); }
