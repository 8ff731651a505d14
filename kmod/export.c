// SPDX-License-Identifier: GPL-2.0
/*
 * export.c - what peers may ask for: exports, and what becomes of a region's when
 * the region does
 */
#include <linux/file.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include "link.h"
#include "process.h"
#include "telepage.h"

DEFINE_XARRAY_ALLOC1(tp_exports);

static void tp_export_free(struct kref *ref)
{
	struct tp_export *ex = container_of(ref, struct tp_export, ref);

	if (ex->region)
		tp_region_put(ex->region);
	if (ex->file)
		fput(ex->file);
	if (ex->mm)
		tp_mm_free(ex->mm);
	tp_order_free(ex);
	kfree(ex->peer);
	kfree(ex);
}

void tp_export_put(struct tp_export *ex)
{
	kref_put(&ex->ref, tp_export_free);
}

/**
 * tp_export_new - make an export
 * @name: checked by tp_name_check()
 * @peer: the agent's note
 * @what: what it gives out; a file's reference and a process's memory are taken
 *	over on success
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: the export, whose reference belongs to the registry, or -EEXIST, -ENOMEM.
 */
struct tp_export *tp_export_new(const char *name, const char *peer,
				const struct tp_content *what, struct netlink_ext_ack *extack)
{
	struct tp_export *ex;
	static u32 next;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (tp_export_find(name)) {
		NL_SET_ERR_MSG(extack, "an export of this name exists");
		return ERR_PTR(-EEXIST);
	}
	/* Attaching needs tp_ctl_mutex, too. */
	if (what->region && what->region->bridged) {
		NL_SET_ERR_MSG(extack, "the region's pages are in a VMM's own memory");
		return ERR_PTR(-EBUSY);
	}
	if (what->size > TP_EXPORT_MAX) {
		NL_SET_ERR_MSG(extack, "an export can have 16 TiB at most");
		return ERR_PTR(-E2BIG);
	}
	ex = kzalloc(sizeof(*ex), GFP_KERNEL_ACCOUNT);
	if (!ex)
		return ERR_PTR(-ENOMEM);
	ex->peer = kstrdup(peer, GFP_KERNEL_ACCOUNT);
	if (!ex->peer) {
		kfree(ex);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&ex->ref);
	strscpy(ex->name, name, sizeof(ex->name));
	ex->nr_pages = DIV_ROUND_UP_ULL(what->size, PAGE_SIZE);
	ex->offset = what->offset;
	ex->ops = what->region ? &tp_source_region : what->mm ? &tp_source_mm : &tp_source_file;
	INIT_LIST_HEAD(&ex->serves);
	err = xa_alloc_cyclic(&tp_exports, &ex->id, ex, xa_limit_31b, &next, GFP_KERNEL);
	if (err < 0) {
		kfree(ex->peer);
		kfree(ex);
		return ERR_PTR(err);
	}
	if (what->region) {
		tp_region_get(what->region);
		ex->region = what->region;
		spin_lock(&ex->region->lock);
		ex->region->nr_exports++;
		/* What a peer may have been given does not become absent here. */
		ex->region->touched = true;
		spin_unlock(&ex->region->lock);
	}
	ex->file = what->file;
	ex->mm = what->mm;
	if (ex->mm)
		tp_mm_settle(ex->mm, ex);
	return ex;
}

/**
 * tp_export_find - find an export by name
 * @name: the name
 *
 * Context: under tp_ctl_mutex, which keeps it.
 */
struct tp_export *tp_export_find(const char *name)
{
	struct tp_export *ex;
	unsigned long id;

	lockdep_assert_held(&tp_ctl_mutex);
	xa_for_each(&tp_exports, id, ex)
		if (!strcmp(ex->name, name))
			return ex;
	return NULL;
}

/**
 * tp_export_del - release an export
 * @ex: the export; gone afterwards
 *
 * Context: sleeps; under tp_ctl_mutex.
 */
void tp_export_del(struct tp_export *ex)
{
	struct tp_serve *sv, *tmp;

	lockdep_assert_held(&tp_ctl_mutex);
	xa_erase(&tp_exports, ex->id);
	list_for_each_entry_safe(sv, tmp, &ex->serves, node)
		tp_serve_end(sv);
	if (ex->region) {
		spin_lock(&ex->region->lock);
		ex->region->nr_exports--;
		spin_unlock(&ex->region->lock);
	}
	tp_export_put(ex);
}

/* Something may be given out, or must not be waited for, that could not before. */
static void tp_export_each_serve(struct tp_region *r, void (*fn)(struct tp_serve *sv))
{
	struct tp_serve *sv, *tmp;
	struct tp_export *ex;
	unsigned long id;

	lockdep_assert_held(&tp_ctl_mutex);
	xa_for_each(&tp_exports, id, ex)
		if (ex->region == r)
			list_for_each_entry_safe(sv, tmp, &ex->serves, node)
				fn(sv);
}

static void tp_serve_opened(struct tp_serve *sv)
{
	tp_rounds_freeze(sv);
	tp_relays_kick(sv);
	tp_link_kick_push(sv->link);
}

/**
 * tp_export_region_opened - the region is frozen: give out its pages
 * @r: the region
 *
 * Context: under tp_ctl_mutex.
 */
void tp_export_region_opened(struct tp_region *r)
{
	tp_export_each_serve(r, tp_serve_opened);
}

/**
 * tp_export_region_closed - the region will be written to again
 * @r: the region
 *
 * What was given out is worthless from now on, so who was served is served no
 * more: a peer that takes it for current finds its demands refused.
 *
 * Context: sleeps; under tp_ctl_mutex.
 */
void tp_export_region_closed(struct tp_region *r)
{
	tp_export_each_serve(r, tp_serve_end);
}

/**
 * tp_export_rate_changed - pushes of a region's exports may go faster now
 * @r: the region
 *
 * Context: sleeps; not under tp_ctl_mutex.
 */
void tp_export_rate_changed(struct tp_region *r)
{
	struct tp_link *link;
	unsigned long id;

	/*
	 * All links: who has nothing of the region to push goes back to sleep. Not
	 * under tp_ctl_mutex: REGION_DEL waits under it for the end of this write.
	 */
	xa_lock(&tp_links);
	xa_for_each(&tp_links, id, link)
		tp_link_kick_push(link);
	xa_unlock(&tp_links);
}
