// SPDX-License-Identifier: GPL-2.0
/*
 * sysfs.c - /sys/fs/telepage/<region>/, one value per file
 *
 * The directory is made and removed with the region's registration. Removing it
 * waits for readers, so a show function always has a live region.
 */
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "link.h"
#include "prefetch.h"
#include "telepage.h"

struct tp_sysfs {
	struct kobject kobj;
	struct tp_region *region;
};

struct tp_attr {
	struct attribute attr;
	ssize_t (*show)(struct tp_region *r, char *buf);
	ssize_t (*store)(struct tp_region *r, const char *buf, size_t len);
	enum tp_stat stat;
};

static struct kset *tp_kset;

static ssize_t state_show(struct tp_region *r, char *buf)
{
	static const char *const names[] = {
		[TELEPAGE_REGION_LOCAL]		= "local",
		[TELEPAGE_REGION_FILLING]	= "filling",
		[TELEPAGE_REGION_BROKEN]	= "broken",
		[TELEPAGE_REGION_ABANDONED]	= "abandoned",
	};

	return sysfs_emit(buf, "%s\n", names[READ_ONCE(r->state)]);
}

static ssize_t frozen_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(r->frozen));
}

static ssize_t size_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%llu\n", (u64)r->nr_pages << PAGE_SHIFT);
}

static ssize_t resident_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%lu\n", READ_ONCE(r->inode.i_mapping->nrpages));
}

static ssize_t absent_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%ld\n", tp_absent(r));
}

/* "below_us count" a line, only buckets in use; the last has no bound */
static ssize_t wait_histogram_show(struct tp_region *r, char *buf)
{
	unsigned int i;
	int len = 0;

	for (i = 0; i < TP_HIST_NR; i++) {
		u64 n = tp_hist_read(r, i);

		if (!n)
			continue;
		if (i == TP_HIST_NR - 1)
			len += sysfs_emit_at(buf, len, "inf %llu\n", n);
		else
			len += sysfs_emit_at(buf, len, "%u %llu\n", 1U << i, n);
	}
	return len;
}

/* A number of pages, 1 to @max. */
static ssize_t tp_store_pages(const char *buf, size_t len, unsigned int max, unsigned int *pages)
{
	unsigned int v;
	int err = kstrtouint(buf, 0, &v);

	if (err)
		return err;
	if (!v || v > max)
		return -ERANGE;
	WRITE_ONCE(*pages, v);
	return len;
}

static ssize_t push_run_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(r->push_run));
}

static ssize_t push_run_store(struct tp_region *r, const char *buf, size_t len)
{
	return tp_store_pages(buf, len, TP_DATA_MAX, &r->push_run);
}

static ssize_t compress_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%s\n", tp_compress_names[READ_ONCE(r->compress)]);
}

static ssize_t compress_store(struct tp_region *r, const char *buf, size_t len)
{
	int i = sysfs_match_string(tp_compress_names, buf);

	if (i < 0)
		return i;
	WRITE_ONCE(r->compress, i);
	return len;
}

static ssize_t compress_level_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(r->compress_level));
}

static ssize_t compress_level_store(struct tp_region *r, const char *buf, size_t len)
{
	int v, err = kstrtoint(buf, 0, &v);

	if (err)
		return err;
	if (v < TP_LEVEL_MIN || v > TP_LEVEL_MAX)
		return -ERANGE;
	WRITE_ONCE(r->compress_level, v);
	return len;
}

static ssize_t push_rate_kbit_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(r->rate.kbit));
}

static ssize_t push_rate_kbit_store(struct tp_region *r, const char *buf, size_t len)
{
	u32 v;
	int err = kstrtou32(buf, 0, &v);

	if (err)
		return err;
	tp_rate_set(&r->rate, v);
	tp_export_rate_changed(r);
	return len;
}

static ssize_t prefetch_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%s\n", READ_ONCE(r->prefetch)->name);
}

static ssize_t prefetch_store(struct tp_region *r, const char *buf, size_t len)
{
	const struct tp_prefetch_ops *p = tp_prefetch_find(buf);

	if (!p)
		return -EINVAL;
	tp_prefetch_switch(r, p);
	return len;
}

static ssize_t prefetch_window_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(r->prefetch_window));
}

static ssize_t prefetch_window_store(struct tp_region *r, const char *buf, size_t len)
{
	return tp_store_pages(buf, len, TP_WINDOW_MAX, &r->prefetch_window);
}

static ssize_t workingset_show(struct tp_region *r, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(r->workingset));
}

static ssize_t workingset_store(struct tp_region *r, const char *buf, size_t len)
{
	bool v;
	int err = kstrtobool(buf, &v);

	if (err)
		return err;
	WRITE_ONCE(r->workingset, v);
	return len;
}

/* what the adaptive policy has made of it; 0: the region never imported */
static ssize_t prefetch_now_show(struct tp_region *r, char *buf)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	const struct tp_ahead *a = smp_load_acquire(&r->ahead);

	return sysfs_emit(buf, "%u\n", a ? READ_ONCE(a->window) : 0);
}

#define TP_ATTR_RO(_name) \
	static struct tp_attr tp_attr_##_name = { \
		.attr = { .name = #_name, .mode = 0444 }, .show = _name##_show }
#define TP_ATTR_RW(_name) \
	static struct tp_attr tp_attr_##_name = { \
		.attr = { .name = #_name, .mode = 0644 }, \
		.show = _name##_show, .store = _name##_store }

TP_ATTR_RO(state);
TP_ATTR_RO(frozen);
TP_ATTR_RO(size);
TP_ATTR_RO(resident);
TP_ATTR_RO(absent);
TP_ATTR_RO(wait_histogram);
TP_ATTR_RW(push_run);
TP_ATTR_RW(compress);
TP_ATTR_RW(compress_level);
TP_ATTR_RW(push_rate_kbit);
TP_ATTR_RW(prefetch);
TP_ATTR_RW(prefetch_window);
TP_ATTR_RO(prefetch_now);
TP_ATTR_RW(workingset);

/* the counters are files of their names, made from the table */
static struct tp_attr tp_stat_attrs[TP_STAT_NR];
static struct attribute *tp_attrs[14 + TP_STAT_NR + 1];
static const struct attribute_group tp_group = { .attrs = tp_attrs };
static const struct attribute_group *tp_groups[] = { &tp_group, NULL };

static ssize_t tp_sysfs_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	struct tp_region *r = container_of(kobj, struct tp_sysfs, kobj)->region;
	struct tp_attr *a = container_of(attr, struct tp_attr, attr);

	if (!a->show)
		return sysfs_emit(buf, "%llu\n", tp_stat_read(r, a->stat));
	return a->show(r, buf);
}

static ssize_t tp_sysfs_store(struct kobject *kobj, struct attribute *attr, const char *buf,
			      size_t len)
{
	struct tp_region *r = container_of(kobj, struct tp_sysfs, kobj)->region;
	struct tp_attr *a = container_of(attr, struct tp_attr, attr);

	return a->store ? a->store(r, buf, len) : -EPERM;
}

static const struct sysfs_ops tp_sysfs_ops = {
	.show	= tp_sysfs_show,
	.store	= tp_sysfs_store,
};

static void tp_sysfs_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct tp_sysfs, kobj));
}

static const struct kobj_type tp_ktype = {
	.sysfs_ops	= &tp_sysfs_ops,
	.release	= tp_sysfs_release,
	.default_groups	= tp_groups,
};

/**
 * tp_sysfs_add - make the directory of a region
 * @r: being registered
 *
 * Context: sleeps; under tp_ctl_mutex.
 */
int tp_sysfs_add(struct tp_region *r)
{
	struct tp_sysfs *s = kzalloc(sizeof(*s), GFP_KERNEL);
	int err;

	if (!s)
		return -ENOMEM;
	s->region = r;
	s->kobj.kset = tp_kset;
	err = kobject_init_and_add(&s->kobj, &tp_ktype, NULL, "%s", r->name);
	if (err) {
		kobject_put(&s->kobj);
		return err;
	}
	r->sysfs = s;
	return 0;
}

/**
 * tp_sysfs_del - remove the directory of a region
 * @r: dead
 *
 * Context: sleeps until nobody reads there; under tp_ctl_mutex.
 */
void tp_sysfs_del(struct tp_region *r)
{
	kobject_del(&r->sysfs->kobj);
	kobject_put(&r->sysfs->kobj);
	r->sysfs = NULL;
}

int tp_sysfs_init(void)
{
	static struct tp_attr *const fixed[] = {
		&tp_attr_state, &tp_attr_frozen, &tp_attr_size, &tp_attr_resident,
		&tp_attr_absent, &tp_attr_wait_histogram, &tp_attr_push_run,
		&tp_attr_compress, &tp_attr_compress_level, &tp_attr_push_rate_kbit,
		&tp_attr_prefetch, &tp_attr_prefetch_window, &tp_attr_prefetch_now,
		&tp_attr_workingset,
	};
	int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(fixed); i++)
		tp_attrs[n++] = &fixed[i]->attr;
	for (i = 0; i < TP_STAT_NR; i++) {
		tp_stat_attrs[i].attr.name = tp_stat_names[i];
		tp_stat_attrs[i].attr.mode = 0444;
		tp_stat_attrs[i].stat = i;
		sysfs_attr_init(&tp_stat_attrs[i].attr);
		tp_attrs[n++] = &tp_stat_attrs[i].attr;
	}
	tp_kset = kset_create_and_add("telepage", NULL, fs_kobj);
	if (!tp_kset)
		return -ENOMEM;
	i = tp_sysfs_link_init(tp_kset);
	if (i)
		kset_unregister(tp_kset);
	return i;
}

void tp_sysfs_exit(void)
{
	tp_sysfs_link_exit();
	kset_unregister(tp_kset);
}
