// SPDX-License-Identifier: GPL-2.0
/* Do inode operations take a struct mnt_idmap? (6.3) */
#include <linux/fs.h>
int probe(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr);
int probe(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	return simple_setattr(idmap, dentry, attr);
}
