// SPDX-License-Identifier: GPL-2.0
/*
 * region.c - regions: names, lifetime, giving up
 *
 * Removal in phases. REGION_DEL refuses a region that is open, filling or
 * exported; then it marks it dead (nobody opens it any more), takes it out of
 * the registry, sysfs and the directory, and drops the registry's reference.
 * Who may still hold one: a directory walk that found it a moment ago, the
 * complete work, a receive thread between two messages. The last one evicts the
 * inode and frees the content.
 */
#include <linux/ctype.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/vmalloc.h>
#include "link.h"
#include "origin.h"
#include "prefetch.h"
#include "sample.h"
#include "telepage.h"
#include "trace.h"

DEFINE_XARRAY_ALLOC1(tp_regions);

/**
 * tp_name_check - may this be the name of a region or an export?
 * @name: NUL-terminated, not longer than the netlink policy allows
 *
 * Context: any.
 * Return: NULL, or what is wrong with it.
 */
const char *tp_name_check(const char *name)
{
	const char *p;

	if (!*name)
		return "the name is empty";
	if (*name == '.')
		return "a name cannot start with '.'";
	for (p = name; *p; p++) {
		if (*p == '/')
			return "a name cannot contain '/'";
		if (!isascii(*p) || !isgraph(*p))
			return "a name takes printable ASCII characters without space only";
	}
	return NULL;
}

static struct tp_region *tp_region_find_locked(const char *name)
{
	struct tp_region *r;
	unsigned long id;

	lockdep_assert_held(&tp_regions.xa_lock);
	xa_for_each(&tp_regions, id, r)
		if (!strcmp(r->name, name))
			return r;
	return NULL;
}

/**
 * tp_region_put - drop a reference
 * @r: the region; perhaps gone afterwards
 *
 * Context: sleeps.
 */
void tp_region_put(struct tp_region *r)
{
	struct super_block *sb = r->inode.i_sb;

	iput(&r->inode);
	deactivate_super(sb);
}

/**
 * tp_region_find - find a region by name
 * @name: the name
 *
 * Context: any but interrupts.
 * Return: the region with a reference, or NULL.
 */
struct tp_region *tp_region_find(const char *name)
{
	struct tp_region *r;

	xa_lock(&tp_regions);
	r = tp_region_find_locked(name);
	if (r)
		tp_region_get(r);
	xa_unlock(&tp_regions);
	return r;
}

/**
 * tp_region_next - walk all regions
 * @id: of the last one seen, 0 to begin
 *
 * Each region that is there from the walk's begin to its end is met once, whatever
 * comes and goes meanwhile.
 *
 * Context: any but interrupts.
 * Return: the next region with a reference, or NULL.
 */
struct tp_region *tp_region_next(u32 id)
{
	unsigned long i = id;
	struct tp_region *r;

	xa_lock(&tp_regions);
	r = xa_find_after(&tp_regions, &i, ULONG_MAX, XA_PRESENT);
	if (r)
		tp_region_get(r);
	xa_unlock(&tp_regions);
	return r;
}

/**
 * tp_region_new - make a region, all of it zero
 * @name: checked by tp_name_check()
 * @size: bytes
 * @mode: permission bits of its file
 * @uid: owner
 * @gid: group
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: the region, whose reference belongs to the registry, or -EEXIST,
 * -EINVAL, -ENOMEM.
 */
struct tp_region *tp_region_new(const char *name, u64 size, umode_t mode, kuid_t uid, kgid_t gid,
				struct netlink_ext_ack *extack)
{
	struct tp_region *r;
	static u32 next;
	int err = -ENOMEM;

	lockdep_assert_held(&tp_ctl_mutex);
	if (!size || size % TELEPAGE_PAGE_SIZE) {
		NL_SET_ERR_MSG(extack, "the size must be a multiple of 4096 bytes and not 0");
		return ERR_PTR(-EINVAL);
	}
	if (size >> PAGE_SHIFT > totalram_pages()) {
		NL_SET_ERR_MSG(extack, "the size is more than the memory of this host");
		return ERR_PTR(-ENOMEM);
	}
	r = tp_region_find(name);
	if (r) {
		tp_region_put(r);
		NL_SET_ERR_MSG(extack, "a region of this name exists");
		return ERR_PTR(-EEXIST);
	}

	r = tp_fs_new_inode(mode, uid, gid, size);
	if (IS_ERR(r))
		return r;
	strscpy(r->name, name, sizeof(r->name));
	r->nr_pages = size >> PAGE_SHIFT;
	r->compress = tp_compress_default();
	r->compress_level = clamp(tp_compress_level, 1U, (unsigned int)TP_LEVEL_MAX);
	r->prefetch = tp_prefetch_default();
	r->workingset = READ_ONCE(tp_workingset);
	r->prefetch_window = clamp(tp_prefetch_window, 1U, (unsigned int)TP_WINDOW_MAX);
	r->push_run = clamp(tp_push_run, 1U, (unsigned int)TP_DATA_MAX);
	r->counters = alloc_percpu(struct tp_counters);
	r->dirty = kvcalloc(BITS_TO_LONGS(r->nr_pages), sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!r->counters || !r->dirty)
		goto err;
	err = tp_sysfs_add(r);
	if (err)
		goto err;

	/*
	 * Numbers rise, and those of an earlier life of the module do not come again: who
	 * remembers a region by its number must not find another one.
	 */
	if (!next)
		next = get_random_u32() >> 2;
	err = xa_alloc_cyclic(&tp_regions, &r->id, r, xa_limit_31b, &next, GFP_KERNEL);
	if (err < 0) {
		tp_sysfs_del(r);
		goto err;
	}
	tp_event(TELEPAGE_EVENT_REGION_NEW, r, 0, NULL);
	return r;
err:
	tp_fs_forget(r);
	tp_region_put(r);
	return ERR_PTR(err);
}

/**
 * tp_region_del - delete a region
 * @r: with a reference of the caller's
 * @extack: where to say what stands in the way
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0 or -EBUSY.
 */
int tp_region_del(struct tp_region *r, struct netlink_ext_ack *extack)
{
	enum telepage_region_state state = READ_ONCE(r->state);

	lockdep_assert_held(&tp_ctl_mutex);
	if (r->dead) {
		NL_SET_ERR_MSG(extack, "no region of this name");
		return -ENOENT;
	}
	if (r->uffd) {
		NL_SET_ERR_MSG(extack, "a VMM is attached to the region: end the VMM first");
		return -EBUSY;
	}
	if (state == TELEPAGE_REGION_BROKEN) {
		NL_SET_ERR_MSG(extack, "the region is broken and lacks pages: abandon it first");
		return -EBUSY;
	}
	if (state == TELEPAGE_REGION_FILLING) {
		NL_SET_ERR_MSG(extack, "the region is filling: wait for it, or abandon it first");
		return -EBUSY;
	}
	spin_lock(&r->lock);
	if (r->openers || r->nr_exports) {
		if (r->openers)
			NL_SET_ERR_MSG(extack, "the region is open or mapped: end its VMM first");
		else
			NL_SET_ERR_MSG(extack, "the region is exported: release the export first");
		spin_unlock(&r->lock);
		return -EBUSY;
	}
	r->dead = true;
	spin_unlock(&r->lock);

	xa_erase(&tp_regions, r->id);
	tp_event(TELEPAGE_EVENT_REGION_DEL, r, 0, NULL);
	tp_sysfs_del(r);
	tp_fs_forget(r);
	tp_region_put(r);
	return 0;
}

/**
 * tp_region_free_content - free what hangs on a region
 * @r: being evicted
 *
 * Context: the last reference has gone.
 */
void tp_region_free_content(struct tp_region *r)
{
	/* A page that was asked for and then given up, or came another way. */
	if (r->link || r->origin)
		tp_request_finish_range(r, 0, r->nr_pages - 1, -EIO);
	tp_origin_free(r);
	if (r->link)
		tp_link_put(r->link);
	WARN_ON_ONCE(!xa_empty(&r->reqs));
	tp_ahead_free(r->ahead);
	tp_sample_evict(r);
	kvfree(r->remote);
	kvfree(r->dirty);
	free_percpu(r->counters);
}

/**
 * tp_region_complete_work - the last absent page has come
 * @work: region->complete_work, which holds a reference
 */
void tp_region_complete_work(struct work_struct *work)
{
	struct tp_region *r = container_of(work, struct tp_region, complete_work);

	mutex_lock(&tp_ctl_mutex);
	/* An abandoned region stays so: its readers were told. */
	if (r->state == TELEPAGE_REGION_FILLING || r->state == TELEPAGE_REGION_BROKEN) {
		tp_import_end(r);
		WRITE_ONCE(r->state, TELEPAGE_REGION_LOCAL);
		tp_event(TELEPAGE_EVENT_REGION_COMPLETE, r, 0, NULL);
	}
	mutex_unlock(&tp_ctl_mutex);
	tp_region_put(r);
}

/**
 * tp_region_abandon - give up the absent pages
 * @r: the region
 * @extack: where to say why not
 *
 * Whoever waits, or touches an absent page later, gets SIGBUS or EIO.
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, or -EINVAL when nothing is absent.
 */
int tp_region_abandon(struct tp_region *r, struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&tp_ctl_mutex);
	/* Of the last page complete_work may not have run yet. */
	if ((r->state != TELEPAGE_REGION_FILLING && r->state != TELEPAGE_REGION_BROKEN) ||
	    !atomic_long_read(&r->absent)) {
		NL_SET_ERR_MSG(extack, "the region has no absent pages to give up");
		return -EINVAL;
	}
	WRITE_ONCE(r->state, TELEPAGE_REGION_ABANDONED);
	/* Pairs with the one in tp_request(). */
	smp_mb();
	tp_import_end(r);
	tp_request_finish_range(r, 0, r->nr_pages - 1, -EIO);
	wake_up_all(&r->settled);
	tp_event(TELEPAGE_EVENT_REGION_ABANDONED, r, 0, NULL);
	return 0;
}

static const char *tp_region_break_reason(int err)
{
	switch (err) {
	case ESRCH:
		return "the peer's process has ended or executed another program";
	case EBADMSG:
		return "a file does not have what its digest says, and there is no peer";
	case EFAULT:
		return "the peer's process has unmapped memory of the region";
	default:
		return "a page of the region cannot be had from the peer or its file";
	}
}

/**
 * tp_region_break - the peer cannot give a page
 * @r: the region
 * @err: positive errno, from the peer
 *
 * The tasks wait on: a new lane asks again, and only people abandon.
 *
 * Context: sleeps.
 */
void tp_region_break(struct tp_region *r, int err)
{
	if (cmpxchg(&r->state, TELEPAGE_REGION_FILLING, TELEPAGE_REGION_BROKEN) ==
	    TELEPAGE_REGION_FILLING)
		tp_event(TELEPAGE_EVENT_REGION_BROKEN, r, err, tp_region_break_reason(err));
}
