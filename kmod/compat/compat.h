/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h - what older kernels call differently
 *
 * The sources are written for the newest kernel; each block here answers one
 * probe in probes/ and can go when the oldest supported kernel has the thing.
 */
#ifndef TP_COMPAT_H
#define TP_COMPAT_H

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/pagemap.h>
#include <linux/socket.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/userfaultfd.h>
#include <net/sock.h>
#include "compat/config.h"

#ifndef HAVE_ALWAYS
#error "the compile probes do not work with this kernel: see kmod/compat/probe.sh"
#endif

#ifndef HAVE_RELEASE_FAULT_LOCK
static inline void release_fault_lock(struct vm_fault *vmf)
{
	mmap_read_unlock(vmf->vma->vm_mm);
}
#endif

#ifndef HAVE_COPY_SPLICE_READ
#define copy_splice_read generic_file_splice_read
#endif

#ifndef HAVE_COPY_FOLIO_FROM_ITER_ATOMIC
static inline size_t copy_folio_from_iter_atomic(struct folio *folio, size_t offset,
						 size_t bytes, struct iov_iter *i)
{
	return copy_page_from_iter_atomic(folio_page(folio, 0), offset, bytes, i);
}
#endif

#ifndef HAVE_INODE_JUST_DROP
#define inode_just_drop generic_delete_inode
#endif

#ifdef HAVE_MNT_IDMAP
#define tp_idmap mnt_idmap
#else
#define tp_idmap user_namespace
#endif

#ifdef HAVE_ERROR_REMOVE_FOLIO
#define TP_ERROR_REMOVE(fn) .error_remove_folio = fn
#define tp_error_remove_arg struct folio
#else
#define TP_ERROR_REMOVE(fn) .error_remove_page = fn
#define tp_error_remove_arg struct page
#endif

/* Asked of a kernel that has it not, it is an unknown ioctl: -EINVAL. */
#ifndef HAVE_UFFDIO_POISON
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};

#define UFFDIO_POISON	_IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif

#ifndef HAVE_SIMPLE_INODE_INIT_TS
static inline void simple_inode_init_ts(struct inode *inode)
{
	inode->i_atime = current_time(inode);
	inode->i_mtime = inode->i_atime;
	inode->i_ctime = inode->i_atime;
}
#endif

#ifdef HAVE_FILEMAP_ALLOC_FOLIO_POLICY
static inline struct folio *tp_alloc_folio(gfp_t gfp)
{
	return filemap_alloc_folio(gfp, 0, NULL);
}
#else
static inline struct folio *tp_alloc_folio(gfp_t gfp)
{
	return filemap_alloc_folio(gfp, 0);
}
#endif

/* Older kernels have it by the name that it has for commands. */
#ifndef HAVE_MULTICAST_CAP
#define GENL_MCAST_CAP_NET_ADMIN GENL_UNS_ADMIN_PERM
#endif

/* One page of another process, with a reference; see get_user_pages_remote(). */
static inline long tp_get_user_page(struct mm_struct *mm, unsigned long addr, unsigned int flags,
				    struct page **page, int *locked)
{
#ifdef HAVE_GUP_REMOTE_VMAS
	return get_user_pages_remote(mm, addr, 1, flags, page, NULL, locked);
#else
	return get_user_pages_remote(mm, addr, 1, flags, page, locked);
#endif
}

/* Without a folio the older call answers NULL, the newer one an error. */
static inline struct folio *tp_find_folio(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(mapping, index);

	return IS_ERR(folio) ? NULL : folio;
}

/*
 * May a device or direct I/O be writing to a folio without its page table entries?
 * Where direct I/O takes plain references, any reference that is not the page
 * cache's, a mapping's or the caller's may be one; so may be one of the LRU's
 * batches, which is a false alarm.
 */
static inline bool tp_folio_maybe_pinned(struct folio *folio)
{
#ifdef HAVE_DIO_PINS
	return folio_maybe_dma_pinned(folio);
#else
	return folio_ref_count(folio) > page_mapcount(folio_page(folio, 0)) + 2;
#endif
}

/* Can tp_folio_maybe_pinned() be waited for, or may it be a false alarm for ever? */
static inline bool tp_folio_pins_end(void)
{
#ifdef HAVE_DIO_PINS
	return true;
#else
	return false;
#endif
}

/*
 * Send @nr pages by reference: the socket takes references of its own and copies
 * nothing. Older kernels send page by page and say with MSG_SENDPAGE_NOTLAST
 * that more follow.
 */
static inline int tp_sock_send_pages(struct socket *sock, struct bio_vec *bv, unsigned int nr,
				     size_t len, int flags)
{
#ifndef HAVE_KERNEL_SENDPAGE
	struct msghdr msg = { .msg_flags = flags | MSG_SPLICE_PAGES | MSG_NOSIGNAL };

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bv, nr, len);
	while (msg_data_left(&msg)) {
		int ret = sock_sendmsg(sock, &msg);

		if (ret < 0)
			return ret;
	}
	return 0;
#else
	unsigned int i;

	for (i = 0; i < nr; i++) {
		bool last = i + 1 == nr;
		size_t done = 0;

		while (done < bv[i].bv_len) {
			int f = flags | MSG_NOSIGNAL;
			int ret;

			if (!last)
				f |= MSG_MORE | MSG_SENDPAGE_NOTLAST;
			ret = kernel_sendpage(sock, bv[i].bv_page, bv[i].bv_offset + done,
					      bv[i].bv_len - done, f);
			if (ret < 0)
				return ret;
			done += ret;
		}
	}
	return 0;
#endif
}

#endif /* TP_COMPAT_H */
