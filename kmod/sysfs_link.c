// SPDX-License-Identifier: GPL-2.0
/*
 * sysfs_link.c - /sys/fs/telepage/.links/<number>/, one value per file
 *
 * No region can be called like that, for names do not start with a dot.
 */
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "link.h"
#include "telepage.h"

struct tp_link_sysfs {
	struct kobject kobj;
	struct tp_link *link;
};

static struct kset *tp_link_kset;

static struct tp_link *to_link(struct kobject *kobj)
{
	return container_of(kobj, struct tp_link_sysfs, kobj)->link;
}

static ssize_t push_rate_kbit_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(to_link(kobj)->rate.kbit));
}

static ssize_t push_rate_kbit_store(struct kobject *kobj, struct kobj_attribute *attr,
				    const char *buf, size_t len)
{
	u32 v;
	int err = kstrtou32(buf, 0, &v);

	if (err)
		return err;
	tp_rate_set(&to_link(kobj)->rate, v);
	tp_link_kick_push(to_link(kobj));
	return len;
}

/* bytes kept for messages now, sockets' unsent data included */
static ssize_t memory_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct tp_link *link = to_link(kobj);
	size_t sum = 0;
	u32 nr;

	for (nr = 0; nr < TP_LANES; nr++) {
		struct tp_lane *lane = tp_lane_get(link, nr);

		if (lane) {
			sum += tp_lane_memory(lane);
			tp_lane_put(lane);
		}
	}
	return sysfs_emit(buf, "%zu\n", sum);
}

static ssize_t relays_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&to_link(kobj)->nr_relays));
}

static struct kobj_attribute push_rate_kbit_attr = __ATTR_RW(push_rate_kbit);
static struct kobj_attribute memory_attr = __ATTR_RO(memory);
static struct kobj_attribute relays_attr = __ATTR_RO(relays);

static struct attribute *tp_link_attrs[] = {
	&push_rate_kbit_attr.attr,
	&memory_attr.attr,
	&relays_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(tp_link);

static void tp_link_sysfs_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct tp_link_sysfs, kobj));
}

static const struct kobj_type tp_link_ktype = {
	.sysfs_ops	= &kobj_sysfs_ops,
	.release	= tp_link_sysfs_release,
	.default_groups	= tp_link_groups,
};

/**
 * tp_sysfs_link_add - make the directory of a link
 * @link: being registered
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0 or a negative errno.
 */
int tp_sysfs_link_add(struct tp_link *link)
{
	struct tp_link_sysfs *s = kzalloc(sizeof(*s), GFP_KERNEL);
	int err;

	if (!s)
		return -ENOMEM;
	s->link = link;
	s->kobj.kset = tp_link_kset;
	err = kobject_init_and_add(&s->kobj, &tp_link_ktype, NULL, "%u", link->id);
	if (err) {
		kobject_put(&s->kobj);
		return err;
	}
	link->sysfs = s;
	return 0;
}

/**
 * tp_sysfs_link_del - remove the directory of a link
 * @link: dead
 *
 * Context: sleeps until nobody reads there; under tp_ctl_mutex.
 */
void tp_sysfs_link_del(struct tp_link *link)
{
	kobject_del(&link->sysfs->kobj);
	kobject_put(&link->sysfs->kobj);
	link->sysfs = NULL;
}

int tp_sysfs_link_init(struct kset *parent)
{
	tp_link_kset = kset_create_and_add(".links", NULL, &parent->kobj);
	return tp_link_kset ? 0 : -ENOMEM;
}

void tp_sysfs_link_exit(void)
{
	kset_unregister(tp_link_kset);
}
