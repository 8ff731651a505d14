// SPDX-License-Identifier: GPL-2.0
/*
 * nl_export.c - netlink commands on exports
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "link.h"
#include "netlink.h"
#include "process.h"
#include "telepage.h"

const struct nla_policy tp_export_policy[TELEPAGE_A_EXPORT_MAX + 1] = {
	[TELEPAGE_A_EXPORT_NAME]	= { .type = NLA_NUL_STRING, .len = TELEPAGE_NAME_MAX },
	[TELEPAGE_A_EXPORT_REGION]	= { .type = NLA_NUL_STRING, .len = TELEPAGE_NAME_MAX },
	[TELEPAGE_A_EXPORT_FD]		= { .type = NLA_U32 },
	[TELEPAGE_A_EXPORT_OFFSET]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_SIZE]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_LINK]	= { .type = NLA_U32 },
	[TELEPAGE_A_EXPORT_PEER]	= { .type = NLA_NUL_STRING, .len = TELEPAGE_PEER_MAX },
	[TELEPAGE_A_EXPORT_PID]		= { .type = NLA_U32 },
	[TELEPAGE_A_EXPORT_MEM_FD]	= { .type = NLA_U32 },
	[TELEPAGE_A_EXPORT_RANGE]	= NLA_POLICY_NESTED(tp_range_policy),
	[TELEPAGE_A_EXPORT_RUNS]	= { .type = NLA_BINARY,
		.len = TELEPAGE_RUNS_MAX * sizeof(struct telepage_run) },
	[TELEPAGE_A_EXPORT_START]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_MORE]	= { .type = NLA_FLAG },
};

/* one export: a note, counters, 256 links, and 64 ranges */
#define TP_EXPORT_MSG	8192

static struct tp_export *tp_nl_export(struct genl_info *info)
{
	struct nlattr *name = info->attrs[TELEPAGE_A_EXPORT_NAME];
	struct tp_export *ex;

	if (!name) {
		NL_SET_ERR_MSG(info->extack, "the name of an export is missing");
		return ERR_PTR(-EINVAL);
	}
	ex = tp_export_find(nla_data(name));
	if (!ex) {
		NL_SET_ERR_MSG_ATTR(info->extack, name, "no export of this name");
		return ERR_PTR(-ENOENT);
	}
	return ex;
}

/* Only an export that is served on one link has any. */
static int tp_nl_fill_rounds(struct sk_buff *skb, struct tp_export *ex)
{
	struct tp_serve *sv = list_first_entry_or_null(&ex->serves, struct tp_serve, node);
	struct tp_rounds_stat st;

	if (!sv || !tp_rounds_stat(sv, &st))
		return 0;
	return nla_put_u32(skb, TELEPAGE_A_EXPORT_ROUND, st.round) ||
	       (st.begun && nla_put_flag(skb, TELEPAGE_A_EXPORT_BEGUN)) ||
	       nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_REWRITTEN, st.rewritten,
				 TELEPAGE_A_EXPORT_PAD);
}

static int tp_nl_fill_export(struct sk_buff *skb, void *obj)
{
	struct tp_export *ex = obj;
	struct tp_serve *sv;
	u64 wanted = 0;

	lockdep_assert_held(&tp_ctl_mutex);
	list_for_each_entry(sv, &ex->serves, node)
		wanted += tp_serve_wanted(sv);
	if (nla_put_string(skb, TELEPAGE_A_EXPORT_NAME, ex->name) ||
	    nla_put_u32(skb, TELEPAGE_A_EXPORT_ID, ex->id) ||
	    (*ex->peer && nla_put_string(skb, TELEPAGE_A_EXPORT_PEER, ex->peer)) ||
	    (ex->region && nla_put_string(skb, TELEPAGE_A_EXPORT_REGION, ex->region->name)) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_OFFSET, ex->offset, TELEPAGE_A_EXPORT_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_SIZE, (u64)ex->nr_pages << PAGE_SHIFT,
			      TELEPAGE_A_EXPORT_PAD) ||
	    (ex->ops->open(ex) && nla_put_flag(skb, TELEPAGE_A_EXPORT_OPEN)) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_DEMAND, atomic64_read(&ex->demand),
			      TELEPAGE_A_EXPORT_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_PUSH, atomic64_read(&ex->push),
			      TELEPAGE_A_EXPORT_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_ZERO, atomic64_read(&ex->zero),
			      TELEPAGE_A_EXPORT_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_WANTED, wanted, TELEPAGE_A_EXPORT_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_FAILED, atomic64_read(&ex->failed),
			      TELEPAGE_A_EXPORT_PAD) ||
	    nla_put_u64_64bit(skb, TELEPAGE_A_EXPORT_TX_BYTES, atomic64_read(&ex->tx_bytes),
			      TELEPAGE_A_EXPORT_PAD))
		return -EMSGSIZE;
	list_for_each_entry(sv, &ex->serves, node)
		if (nla_put_u32(skb, TELEPAGE_A_EXPORT_LINK, sv->link->id))
			return -EMSGSIZE;
	if (tp_nl_fill_rounds(skb, ex))
		return -EMSGSIZE;
	return ex->mm ? tp_nl_fill_process(skb, ex->mm) : 0;
}

static const char *tp_nl_export_peer(struct genl_info *info)
{
	struct nlattr *a = info->attrs[TELEPAGE_A_EXPORT_PEER];

	return a ? nla_data(a) : "";
}

static struct tp_export *tp_nl_export_file(struct genl_info *info, const char *name)
{
	struct nlattr **a = info->attrs;
	u64 offset = 0, size = 0, end;
	struct tp_content what = { 0 };
	struct tp_export *ex = ERR_PTR(-EINVAL);
	struct file *file;
	loff_t isize;

	file = fget(nla_get_u32(a[TELEPAGE_A_EXPORT_FD]));
	if (!file) {
		NL_SET_ERR_MSG_ATTR(info->extack, a[TELEPAGE_A_EXPORT_FD],
				    "there is no such descriptor");
		return ERR_PTR(-EBADF);
	}
	if (!S_ISREG(file_inode(file)->i_mode) && !S_ISBLK(file_inode(file)->i_mode)) {
		NL_SET_ERR_MSG(info->extack, "only a file or a block device can be exported");
		goto out;
	}
	if (!(file->f_mode & FMODE_READ) || !(file->f_mode & FMODE_CAN_READ)) {
		NL_SET_ERR_MSG(info->extack, "the file is not open for reading");
		goto out;
	}
	if (file->f_op == &tp_file_fops) {
		NL_SET_ERR_MSG(info->extack, "this file is a region: export it by its name");
		goto out;
	}
	isize = i_size_read(file->f_mapping->host);
	if (a[TELEPAGE_A_EXPORT_OFFSET])
		offset = nla_get_u64(a[TELEPAGE_A_EXPORT_OFFSET]);
	if (!isize) {
		NL_SET_ERR_MSG(info->extack, "the file is empty, or does not say its size");
		goto out;
	}
	if (offset % TELEPAGE_PAGE_SIZE || offset >= isize) {
		NL_SET_ERR_MSG(info->extack,
			       "the offset must be a multiple of 4096 within the file");
		goto out;
	}
	size = a[TELEPAGE_A_EXPORT_SIZE] ? nla_get_u64(a[TELEPAGE_A_EXPORT_SIZE]) : isize - offset;
	if (!size || check_add_overflow(offset, size, &end) || end > isize) {
		NL_SET_ERR_MSG(info->extack, "the size must be more than 0 and within the file");
		goto out;
	}
	what.file = file;
	what.offset = offset;
	what.size = size;
	ex = tp_export_new(name, tp_nl_export_peer(info), &what, info->extack);
out:
	if (IS_ERR(ex))
		fput(file);
	return ex;
}

static struct tp_export *tp_nl_export_region(struct genl_info *info, const char *name)
{
	struct nlattr *a = info->attrs[TELEPAGE_A_EXPORT_REGION];
	struct tp_region *r = tp_region_find(nla_data(a));
	struct tp_content what = { .region = r };
	struct tp_export *ex;

	if (!r || r->dead) {
		if (r)
			tp_region_put(r);
		NL_SET_ERR_MSG_ATTR(info->extack, a, "no region of this name");
		return ERR_PTR(-ENOENT);
	}
	what.size = i_size_read(&r->inode);
	ex = tp_export_new(name, tp_nl_export_peer(info), &what, info->extack);
	tp_region_put(r);
	return ex;
}

static struct tp_export *tp_nl_export_mm(struct genl_info *info, const char *name,
					 struct tp_mm *m)
{
	struct tp_content what = { .mm = m, .size = (u64)m->nr_pages << PAGE_SHIFT };
	struct tp_export *ex;

	ex = tp_export_new(name, tp_nl_export_peer(info), &what, info->extack);
	if (IS_ERR(ex))
		tp_mm_free(m);
	return ex;
}

int tp_nl_export_new(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	struct tp_mm *m = NULL;
	const char *name, *bad;
	struct tp_export *ex;
	struct sk_buff *room;
	int err;

	if (!a[TELEPAGE_A_EXPORT_NAME] ||
	    !!a[TELEPAGE_A_EXPORT_REGION] + !!a[TELEPAGE_A_EXPORT_FD] +
	    !!a[TELEPAGE_A_EXPORT_PID] != 1) {
		NL_SET_ERR_MSG(info->extack,
			       "an export needs a name, and a region, a file or a process");
		return -EINVAL;
	}
	name = nla_data(a[TELEPAGE_A_EXPORT_NAME]);
	bad = tp_name_check(name);
	if (bad) {
		NL_SET_BAD_ATTR(info->extack, a[TELEPAGE_A_EXPORT_NAME]);
		return tp_nl_invalid(info, bad);
	}
	/* The process may keep who looks at it waiting: nobody else, so before the lock. */
	if (a[TELEPAGE_A_EXPORT_PID]) {
		m = tp_nl_process(skb, info);
		if (IS_ERR(m))
			return PTR_ERR(m);
	}
	room = genlmsg_new(TP_EXPORT_MSG, GFP_KERNEL);
	err = room ? mutex_lock_killable(&tp_ctl_mutex) : -ENOMEM;
	if (err) {
		nlmsg_free(room);
		if (m)
			tp_mm_free(m);
		return err;
	}
	if (m)
		ex = tp_nl_export_mm(info, name, m);
	else if (a[TELEPAGE_A_EXPORT_FD])
		ex = tp_nl_export_file(info, name);
	else
		ex = tp_nl_export_region(info, name);
	err = tp_nl_reply_in(room, info, PTR_ERR_OR_ZERO(ex), tp_nl_fill_export, ex);
	mutex_unlock(&tp_ctl_mutex);
	return err;
}

/* Do something to the export that a command names, under tp_ctl_mutex. */
static int tp_nl_export_do(struct genl_info *info,
			   int (*fn)(struct tp_export *ex, struct genl_info *info))
{
	struct tp_export *ex;
	int err;

	if (mutex_lock_killable(&tp_ctl_mutex))
		return -EINTR;
	ex = tp_nl_export(info);
	err = IS_ERR(ex) ? PTR_ERR(ex) : fn(ex, info);
	mutex_unlock(&tp_ctl_mutex);
	return err;
}

static int tp_do_export_del(struct tp_export *ex, struct genl_info *info)
{
	tp_export_del(ex);
	return 0;
}

int tp_nl_export_del(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_export_do(info, tp_do_export_del);
}

static int tp_do_export_get(struct tp_export *ex, struct genl_info *info)
{
	return tp_nl_reply(info, TP_EXPORT_MSG, tp_nl_fill_export, ex);
}

int tp_nl_export_get(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_export_do(info, tp_do_export_get);
}

static int tp_do_export_serve(struct tp_export *ex, struct genl_info *info)
{
	struct nlattr *a = info->attrs[TELEPAGE_A_EXPORT_LINK];
	struct tp_link *link = a ? tp_link_find(nla_get_u32(a)) : NULL;
	struct sk_buff *room;
	int err;

	if (!link) {
		NL_SET_ERR_MSG(info->extack, "no such link");
		return a ? -ENOENT : -EINVAL;
	}
	room = genlmsg_new(TP_EXPORT_MSG, GFP_KERNEL);
	if (!room)
		return -ENOMEM;
	err = tp_export_serve(ex, link, info->extack);
	return tp_nl_reply_in(room, info, err, tp_nl_fill_export, ex);
}

int tp_nl_export_serve(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_export_do(info, tp_do_export_serve);
}

static int tp_do_export_round(struct tp_export *ex, struct genl_info *info)
{
	struct sk_buff *room = genlmsg_new(TP_EXPORT_MSG, GFP_KERNEL);
	int err;

	if (!room)
		return -ENOMEM;
	err = tp_export_round(ex, info->extack);
	return tp_nl_reply_in(room, info, err, tp_nl_fill_export, ex);
}

int tp_nl_export_round(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_export_do(info, tp_do_export_round);
}

static int tp_do_export_order(struct tp_export *ex, struct genl_info *info)
{
	struct nlattr *start = info->attrs[TELEPAGE_A_EXPORT_START];
	bool more = nla_get_flag(info->attrs[TELEPAGE_A_EXPORT_MORE]);
	struct telepage_run *runs;
	int n = tp_nl_get_runs(info, info->attrs[TELEPAGE_A_EXPORT_RUNS], &runs), err;

	if (n < 0)
		return n;
	err = tp_order_say(ex, start ? nla_get_u64(start) : 0, runs, n, more, info->extack);
	kvfree(runs);
	return err;
}

int tp_nl_export_order(struct sk_buff *skb, struct genl_info *info)
{
	return tp_nl_export_do(info, tp_do_export_order);
}

int tp_nl_export_dump_start(struct netlink_callback *cb)
{
	/* what does not fit into an empty message would end the dump */
	cb->min_dump_alloc = TP_EXPORT_MSG;
	return 0;
}

int tp_nl_export_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned long id = cb->args[0];
	struct tp_export *ex;

	if (mutex_lock_killable(&tp_ctl_mutex))
		return -EINTR;
	xa_for_each_start(&tp_exports, id, ex, cb->args[0]) {
		if (tp_nl_dump_one(skb, cb, TELEPAGE_CMD_EXPORT_GET, tp_nl_fill_export, ex))
			break;
		cb->args[0] = id + 1;
	}
	mutex_unlock(&tp_ctl_mutex);
	return skb->len;
}
