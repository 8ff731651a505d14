// SPDX-License-Identifier: GPL-2.0
/*
 * fs.c - the filesystem: one superblock, one directory, an inode per region
 *
 * Regions are made and deleted over netlink only; the directory just shows the
 * registry. Nothing about absent names is cached in dentries, so a region can be
 * opened as soon as it is registered.
 */
#include <linux/dcache.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/statfs.h>
#include "link.h"
#include "telepage.h"

#define TP_FS_MAGIC	0x74656c65	/* "tele" */

static struct kmem_cache *tp_inode_cache;

static struct inode *tp_alloc_inode(struct super_block *sb)
{
	struct tp_region *r = alloc_inode_sb(sb, tp_inode_cache, GFP_KERNEL);

	if (!r)
		return NULL;
	/* everything behind the inode, which the VFS initialises */
	memset((char *)r + sizeof(r->inode), 0, sizeof(*r) - sizeof(r->inode));
	spin_lock_init(&r->lock);
	xa_init(&r->reqs);
	INIT_WORK(&r->complete_work, tp_region_complete_work);
	init_waitqueue_head(&r->arrivals);
	init_waitqueue_head(&r->settled);
	return &r->inode;
}

static void tp_free_inode(struct inode *inode)
{
	kmem_cache_free(tp_inode_cache, tp_region(inode));
}

static void tp_evict_inode(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (S_ISREG(inode->i_mode))
		tp_region_free_content(tp_region(inode));
}

static const struct super_operations tp_super_ops = {
	.alloc_inode	= tp_alloc_inode,
	.free_inode	= tp_free_inode,
	.evict_inode	= tp_evict_inode,
	.drop_inode	= inode_just_drop,
	.statfs		= simple_statfs,
};

static struct dentry *tp_dir_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	char name[TELEPAGE_NAME_MAX + 1];
	struct tp_region *r;
	struct dentry *res;

	if (dentry->d_name.len > TELEPAGE_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	strscpy(name, dentry->d_name.name, sizeof(name));
	r = tp_region_find(name);
	if (!r)
		return ERR_PTR(-ENOENT);
	ihold(&r->inode);
	res = d_splice_alias(&r->inode, dentry);	/* takes the inode's reference */
	/*
	 * Deleted between the look-up and now: tp_fs_forget() did not see this
	 * dentry. Both order dead before the dentry's inode, so one of us drops it.
	 */
	if (!IS_ERR(res) && READ_ONCE(r->dead))
		d_drop(res ?: dentry);
	tp_region_put(r);
	return res;
}

static int tp_dir_iterate(struct file *file, struct dir_context *ctx)
{
	struct tp_region *r;
	bool room = true;

	if (!dir_emit_dots(file, ctx))
		return 0;
	/* a position is a region's number, behind the dots */
	while (room && (r = tp_region_next(ctx->pos - 2))) {
		room = dir_emit(ctx, r->name, strlen(r->name), r->inode.i_ino, DT_REG);
		if (room)
			ctx->pos = r->id + 2;
		tp_region_put(r);
	}
	return 0;
}

static const struct inode_operations tp_dir_iops = {
	.lookup		= tp_dir_lookup,
	.getattr	= simple_getattr,
};

static const struct file_operations tp_dir_fops = {
	.llseek		= generic_file_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= tp_dir_iterate,
};

static int tp_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;

	sb->s_magic = TP_FS_MAGIC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_op = &tp_super_ops;
	sb->s_time_gran = 1;

	root = new_inode(sb);
	if (!root)
		return -ENOMEM;
	root->i_ino = 1;
	root->i_mode = S_IFDIR | 0755;
	root->i_op = &tp_dir_iops;
	root->i_fop = &tp_dir_fops;
	set_nlink(root, 2);
	simple_inode_init_ts(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int tp_get_tree(struct fs_context *fc)
{
	return get_tree_single(fc, tp_fill_super);
}

static const struct fs_context_operations tp_context_ops = {
	.get_tree	= tp_get_tree,
};

static int tp_init_fs_context(struct fs_context *fc)
{
	fc->ops = &tp_context_ops;
	return 0;
}

struct file_system_type tp_fs_type = {
	.owner		= THIS_MODULE,
	.name		= TELEPAGE_FS_NAME,
	.init_fs_context = tp_init_fs_context,
	.kill_sb	= kill_anon_super,
};

/**
 * tp_fs_new_inode - make the inode of a region
 * @mode: permission bits
 * @uid: owner
 * @gid: group
 * @size: bytes
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: the region with empty content and a reference, or an error pointer.
 */
struct tp_region *tp_fs_new_inode(umode_t mode, kuid_t uid, kgid_t gid, loff_t size)
{
	struct super_block *sb;
	struct inode *inode;
	struct vfsmount *mnt;

	lockdep_assert_held(&tp_ctl_mutex);
	/* A command that runs while the module ends would make what outlives it. */
	if (!try_module_get(THIS_MODULE))
		return ERR_PTR(-ENODEV);
	/* A mount of our own, for a moment: it makes or finds the superblock. */
	mnt = vfs_kern_mount(&tp_fs_type, SB_KERNMOUNT, TELEPAGE_FS_NAME, NULL);
	/* the superblock has a reference of its own */
	module_put(THIS_MODULE);
	if (IS_ERR(mnt))
		return ERR_CAST(mnt);
	sb = mnt->mnt_sb;
	atomic_inc(&sb->s_active);
	mntput(mnt);
	inode = new_inode(sb);
	if (!inode) {
		deactivate_super(sb);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | (mode & 0777);
	inode->i_uid = uid;
	inode->i_gid = gid;
	/* Guest stores must not cost a timestamp each. */
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	inode->i_op = &tp_file_iops;
	inode->i_fop = &tp_file_fops;
	inode->i_mapping->a_ops = &tp_aops;
	/*
	 * The guest's memory is never reclaimed behind the VMM's back. It may be
	 * migrated: no folio stays locked for a round trip.
	 */
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER_MOVABLE);
	mapping_set_unevictable(inode->i_mapping);
	simple_inode_init_ts(inode);
	i_size_write(inode, size);
	return tp_region(inode);
}

/**
 * tp_fs_forget - take a region out of the directory
 * @r: the region, dead
 *
 * Context: sleeps; under tp_ctl_mutex, with a reference of the caller's.
 */
void tp_fs_forget(struct tp_region *r)
{
	struct dentry *dentry;

	lockdep_assert_held(&tp_ctl_mutex);
	clear_nlink(&r->inode);
	while ((dentry = d_find_alias(&r->inode))) {
		d_invalidate(dentry);
		d_drop(dentry);
		dput(dentry);
	}
}

static void tp_inode_init_once(void *p)
{
	inode_init_once(&((struct tp_region *)p)->inode);
}

int tp_fs_init(void)
{
	int err;

	tp_inode_cache = kmem_cache_create("telepage_region", sizeof(struct tp_region), 0,
					   SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, tp_inode_init_once);
	if (!tp_inode_cache)
		return -ENOMEM;
	err = register_filesystem(&tp_fs_type);
	if (err)
		kmem_cache_destroy(tp_inode_cache);
	return err;
}

void tp_fs_exit(void)
{
	unregister_filesystem(&tp_fs_type);
	rcu_barrier();		/* inodes are freed after a grace period */
	kmem_cache_destroy(tp_inode_cache);
}
