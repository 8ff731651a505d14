// SPDX-License-Identifier: GPL-2.0
/* Is the drop_inode that keeps no unused inode called inode_just_drop()? (6.18) */
#include <linux/fs.h>
int probe(struct inode *inode);
int probe(struct inode *inode) { return inode_just_drop(inode); }
