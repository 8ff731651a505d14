// SPDX-License-Identifier: GPL-2.0
/*
 * nl_region.c - netlink commands on regions
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include "link.h"
#include "netlink.h"
#include "telepage.h"

const struct nla_policy tp_region_policy[TELEPAGE_A_REGION_MAX + 1] = {
	[TELEPAGE_A_REGION_NAME]	= { .type = NLA_NUL_STRING, .len = TELEPAGE_NAME_MAX },
	[TELEPAGE_A_REGION_SIZE]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_MODE]	= NLA_POLICY_MAX(NLA_U32, 0777),
	[TELEPAGE_A_REGION_UID]		= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_GID]		= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_LINK]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_EXPORT_ID]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_PUSH]	= NLA_POLICY_MAX(NLA_U8, 1),
	[TELEPAGE_A_REGION_START]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_COUNT]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_CLEAR]	= { .type = NLA_FLAG },
	[TELEPAGE_A_REGION_LIVE]	= { .type = NLA_FLAG },
	[TELEPAGE_A_REGION_RUNS]	= { .type = NLA_BINARY,
		.len = TELEPAGE_RUNS_MAX * sizeof(struct telepage_run) },
	[TELEPAGE_A_REGION_EVERY]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_SEED]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_LOCAL]	= { .type = NLA_FLAG },
};

/* The region that a command names, with a reference. */
static struct tp_region *tp_nl_region(struct genl_info *info, int attr)
{
	struct nlattr *name = info->attrs[attr];
	struct tp_region *r;

	if (!name)
		return ERR_PTR(tp_nl_invalid(info, "the name of a region is missing"));
	r = tp_region_find(nla_data(name));
	if (!r) {
		NL_SET_ERR_MSG_ATTR(info->extack, name, "no region of this name");
		return ERR_PTR(-ENOENT);
	}
	return r;
}

static int tp_nl_fill_stats(struct sk_buff *skb, const struct tp_region *r)
{
	struct nlattr *nest = nla_nest_start(skb, TELEPAGE_A_REGION_STATS);
	int i;

	/* the attributes are numbered in the order of enum tp_stat */
	BUILD_BUG_ON(TELEPAGE_A_STATS_MAX - TELEPAGE_A_STATS_FAULTS + 1 != TP_STAT_NR);
	BUILD_BUG_ON(TELEPAGE_A_STATS_RX_BYTES - TELEPAGE_A_STATS_FAULTS != TP_STAT_RX_BYTES);
	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < TP_STAT_NR; i++)
		if (nla_put_u64_64bit(skb, TELEPAGE_A_STATS_FAULTS + i, tp_stat_read(r, i),
				      TELEPAGE_A_STATS_PAD))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int tp_nl_fill_region(struct sk_buff *skb, void *obj)
{
	struct tp_region *r = obj;
	const struct inode *inode = &r->inode;

	if (nla_put_string(skb, TELEPAGE_A_REGION_NAME, r->name) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_SIZE, i_size_read(inode),
			      TELEPAGE_A_REGION_PAD) ||
	    nla_put_u32(skb, TELEPAGE_A_REGION_MODE, inode->i_mode & 0777) ||
	    nla_put_u32(skb, TELEPAGE_A_REGION_UID, __kuid_val(inode->i_uid)) ||
	    nla_put_u32(skb, TELEPAGE_A_REGION_GID, __kgid_val(inode->i_gid)) ||
	    nla_put_u32(skb, TELEPAGE_A_REGION_STATE, READ_ONCE(r->state)) ||
	    (READ_ONCE(r->frozen) && nla_put_flag(skb, TELEPAGE_A_REGION_FROZEN)) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_RESIDENT,
			      READ_ONCE(inode->i_mapping->nrpages), TELEPAGE_A_REGION_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_ABSENT, tp_absent(r),
			      TELEPAGE_A_REGION_PAD) ||
	    nla_put_u32(skb, TELEPAGE_A_REGION_OPENERS, READ_ONCE(r->openers)) ||
	    nla_put_u32(skb, TELEPAGE_A_REGION_EXPORTS, READ_ONCE(r->nr_exports)) ||
	    nla_put_u32(skb, TELEPAGE_A_REGION_ID, r->id) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_HARVESTS, READ_ONCE(r->harvests),
			      TELEPAGE_A_REGION_PAD))
		return -EMSGSIZE;
	/* Pairs with smp_store_release() in tp_import_start(). */
	if (smp_load_acquire(&r->remote) && r->link &&
	    (nla_put_u32(skb, TELEPAGE_A_REGION_LINK, r->link->id) ||
	     nla_put_u32(skb, TELEPAGE_A_REGION_EXPORT_ID, r->export_id) ||
	     nla_put_u8(skb, TELEPAGE_A_REGION_PUSH, r->push) ||
	     (tp_is_live(r) && nla_put_flag(skb, TELEPAGE_A_REGION_LIVE))))
		return -EMSGSIZE;
	return tp_nl_fill_stats(skb, r);
}

int tp_nl_region_new(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	u32 mode = 0600;
	kuid_t uid = GLOBAL_ROOT_UID;
	kgid_t gid = GLOBAL_ROOT_GID;
	struct sk_buff *room;
	struct tp_region *r;
	const char *bad;
	int err;

	if (!a[TELEPAGE_A_REGION_NAME] || !a[TELEPAGE_A_REGION_SIZE])
		return tp_nl_invalid(info, "a region needs a name and a size");
	bad = tp_name_check(nla_data(a[TELEPAGE_A_REGION_NAME]));
	if (bad) {
		NL_SET_BAD_ATTR(info->extack, a[TELEPAGE_A_REGION_NAME]);
		return tp_nl_invalid(info, bad);
	}
	if (a[TELEPAGE_A_REGION_MODE])
		mode = nla_get_u32(a[TELEPAGE_A_REGION_MODE]);
	if (a[TELEPAGE_A_REGION_UID])
		uid = make_kuid(&init_user_ns, nla_get_u32(a[TELEPAGE_A_REGION_UID]));
	if (a[TELEPAGE_A_REGION_GID])
		gid = make_kgid(&init_user_ns, nla_get_u32(a[TELEPAGE_A_REGION_GID]));
	if (!uid_valid(uid) || !gid_valid(gid))
		return tp_nl_invalid(info, "no such owner");

	room = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!room)
		return -ENOMEM;
	if (mutex_lock_killable(&tp_ctl_mutex)) {
		nlmsg_free(room);
		return -EINTR;
	}
	r = tp_region_new(nla_data(a[TELEPAGE_A_REGION_NAME]),
			  nla_get_u64(a[TELEPAGE_A_REGION_SIZE]), mode, uid, gid, info->extack);
	err = tp_nl_reply_in(room, info, PTR_ERR_OR_ZERO(r), tp_nl_fill_region, r);
	mutex_unlock(&tp_ctl_mutex);
	return err;
}

int tp_nl_region_get(struct sk_buff *skb, struct genl_info *info)
{
	struct tp_region *r = tp_nl_region(info, TELEPAGE_A_REGION_NAME);
	int err;

	if (IS_ERR(r))
		return PTR_ERR(r);
	err = tp_nl_reply(info, NLMSG_DEFAULT_SIZE, tp_nl_fill_region, r);
	tp_region_put(r);
	return err;
}

int tp_nl_region_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct tp_region *r;
	int err = 0;

	while (!err && (r = tp_region_next(cb->args[0]))) {
		err = tp_nl_dump_one(skb, cb, TELEPAGE_CMD_REGION_GET, tp_nl_fill_region, r);
		if (!err)
			cb->args[0] = r->id;
		tp_region_put(r);
	}
	return skb->len;
}

/**
 * tp_nl_with_region - do something to the region that a command names
 * @info: the command
 * @attr: which attribute has the name
 * @fn: what to do, under tp_ctl_mutex
 *
 * Context: sleeps.
 * Return: what @fn did, -EINVAL, -ENOENT, -EINTR.
 */
int tp_nl_with_region(struct genl_info *info, int attr,
		      int (*fn)(struct tp_region *r, struct genl_info *info))
{
	struct tp_region *r = tp_nl_region(info, attr);
	int err = -EINTR;

	if (IS_ERR(r))
		return PTR_ERR(r);
	if (!mutex_lock_killable(&tp_ctl_mutex)) {
		err = -ENOENT;
		/* somebody else may have deleted it since it was looked up */
		if (r->dead)
			NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[attr],
					    "no region of this name");
		else
			err = fn(r, info);
		mutex_unlock(&tp_ctl_mutex);
	}
	tp_region_put(r);
	return err;
}

static int tp_nl_region_do(struct genl_info *info,
			   int (*fn)(struct tp_region *r, struct genl_info *info))
{
	return tp_nl_with_region(info, TELEPAGE_A_REGION_NAME, fn);
}

static int tp_do_del(struct tp_region *r, struct genl_info *info)
{
	return tp_region_del(r, info->extack);
}

int tp_nl_region_del(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_region_do(info, tp_do_del);
}

static int tp_do_freeze(struct tp_region *r, struct genl_info *info)
{
	int err;

	if (r->bridged) {
		NL_SET_ERR_MSG(info->extack, "the region's pages are in a VMM's own memory");
		return -EBUSY;
	}
	err = tp_freeze(r);
	if (err == -EBUSY)
		NL_SET_ERR_MSG(info->extack,
			       "pages stay pinned for I/O: stop the VM and its devices first");
	if (err == -EAGAIN)
		NL_SET_ERR_MSG(info->extack, "the region's own source still writes to it");
	if (!err)
		tp_export_region_opened(r);
	return err;
}

int tp_nl_region_freeze(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_region_do(info, tp_do_freeze);
}

static int tp_do_thaw(struct tp_region *r, struct genl_info *info)
{
	tp_export_region_closed(r);
	tp_thaw(r);
	return 0;
}

int tp_nl_region_thaw(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_region_do(info, tp_do_thaw);
}

static int tp_do_abandon(struct tp_region *r, struct genl_info *info)
{
	return tp_region_abandon(r, info->extack);
}

int tp_nl_region_abandon(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_region_do(info, tp_do_abandon);
}

static int tp_do_import(struct tp_region *r, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	bool push = !a[TELEPAGE_A_REGION_PUSH] || nla_get_u8(a[TELEPAGE_A_REGION_PUSH]);
	bool live = nla_get_flag(a[TELEPAGE_A_REGION_LIVE]);
	struct tp_link *link;

	if (live && !push)
		return tp_nl_invalid(info, "a live import is pushed: leave PUSH out");
	if (!a[TELEPAGE_A_REGION_LINK] || !a[TELEPAGE_A_REGION_EXPORT_ID])
		return tp_nl_invalid(info, "an import needs a link and the number of an export");
	link = tp_link_find(nla_get_u32(a[TELEPAGE_A_REGION_LINK]));
	if (!link) {
		NL_SET_ERR_MSG_ATTR(info->extack, a[TELEPAGE_A_REGION_LINK], "no such link");
		return -ENOENT;
	}
	return tp_import_start(r, link, nla_get_u32(a[TELEPAGE_A_REGION_EXPORT_ID]), push, live,
			       info->extack);
}

int tp_nl_region_import(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_region_do(info, tp_do_import);
}

struct tp_dirty_answer {
	struct tp_region *r;
	u64 start, count;
	unsigned long *bits;
};

static int tp_nl_fill_dirty(struct sk_buff *skb, void *obj)
{
	struct tp_dirty_answer *d = obj;
	size_t len = DIV_ROUND_UP(d->count, 8);
	struct nlattr *nla;
	size_t i;

	if (nla_put_string(skb, TELEPAGE_A_REGION_NAME, d->r->name) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_START, d->start, TELEPAGE_A_REGION_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_REGION_COUNT, d->count, TELEPAGE_A_REGION_PAD))
		return -EMSGSIZE;
	nla = nla_reserve(skb, TELEPAGE_A_REGION_BITMAP, len);
	if (!nla)
		return -EMSGSIZE;
	/* bit n of byte n / 8, whatever the order of bytes in a long */
	for (i = 0; i < len; i++)
		((u8 *)nla_data(nla))[i] = d->bits[i / sizeof(long)] >> (8 * (i % sizeof(long)));
	return 0;
}

static int tp_do_dirty(struct tp_region *r, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	struct tp_dirty_answer d = { .r = r };
	bool clear = nla_get_flag(a[TELEPAGE_A_REGION_CLEAR]);
	int err;

	if (!a[TELEPAGE_A_REGION_START] || !a[TELEPAGE_A_REGION_COUNT])
		return tp_nl_invalid(info, "START and COUNT say which pages");
	d.start = nla_get_u64(a[TELEPAGE_A_REGION_START]);
	d.count = nla_get_u64(a[TELEPAGE_A_REGION_COUNT]);
	if (!d.count || d.count > TELEPAGE_DIRTY_MAX) {
		NL_SET_ERR_MSG(info->extack, "COUNT must be 1 to 262144 pages");
		return -EINVAL;
	}
	if (d.start >= r->nr_pages || d.count > r->nr_pages - d.start) {
		NL_SET_ERR_MSG(info->extack, "the range is not within the region");
		return -ERANGE;
	}
	d.bits = kvcalloc(BITS_TO_LONGS(d.count), sizeof(long), GFP_KERNEL);
	if (!d.bits)
		return -ENOMEM;
	err = tp_dirty_harvest(r, d.start, d.count, clear, d.bits);
	if (!err)
		err = tp_nl_reply(info, DIV_ROUND_UP(d.count, 8) + 256, tp_nl_fill_dirty, &d);
	if (err && clear) {
		/* Nobody heard of these writes: they are still to be told. */
		unsigned long i;

		for_each_set_bit(i, d.bits, d.count)
			set_bit(d.start + i, r->dirty);
	}
	kvfree(d.bits);
	return err;
}

int tp_nl_region_dirty(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_region_do(info, tp_do_dirty);
}
