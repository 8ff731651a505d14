// SPDX-License-Identifier: GPL-2.0
/*
 * main.c - init and exit in order, nothing else
 */
#include <linux/module.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <net/genetlink.h>
#include "link.h"
#include "origin.h"
#include "telepage.h"

unsigned int tp_bulk_unsent_kb = 128;
module_param_named(bulk_unsent_kb, tp_bulk_unsent_kb, uint, 0644);
MODULE_PARM_DESC(bulk_unsent_kb, "unsent data a bulk lane may queue in its socket, KiB (new lanes)");

unsigned int tp_push_run = 16;
module_param_named(push_run, tp_push_run, uint, 0644);
MODULE_PARM_DESC(push_run, "pages in one pushed message, 1 to 64");

unsigned int tp_link_timeout_ms = 20000;
module_param_named(link_timeout_ms, tp_link_timeout_ms, uint, 0644);
MODULE_PARM_DESC(link_timeout_ms, "a lane whose peer acknowledges nothing that long is lost (new lanes)");

const char *const tp_compress_names[3] = {
	[TP_COMPRESS_OFF]	= "off",
	[TP_COMPRESS_AUTO]	= "auto",
	[TP_COMPRESS_ON]	= "on",
};

static enum tp_compress tp_compress = TP_COMPRESS_AUTO;

static int tp_compress_set(const char *val, const struct kernel_param *kp)
{
	int i = sysfs_match_string(tp_compress_names, val);

	if (i < 0)
		return i;
	WRITE_ONCE(tp_compress, i);
	return 0;
}

static int tp_compress_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", tp_compress_names[tp_compress]);
}

static const struct kernel_param_ops tp_compress_ops = {
	.set = tp_compress_set,
	.get = tp_compress_get,
};

module_param_cb(compress, &tp_compress_ops, NULL, 0644);
MODULE_PARM_DESC(compress, "pack pages for the link: off, auto, on (new regions, and files)");

/**
 * tp_compress_default - whether to pack where a region does not say
 */
enum tp_compress tp_compress_default(void)
{
	return READ_ONCE(tp_compress);
}

unsigned int tp_compress_level = 1;
module_param_named(compress_level, tp_compress_level, uint, 0644);
MODULE_PARM_DESC(compress_level, "level of zstd for pushed pages, 1 to 9 (new regions, and files)");

char *tp_bulk_congestion = TP_BULK_CONGESTION;
module_param_named(bulk_congestion, tp_bulk_congestion, charp, 0444);
MODULE_PARM_DESC(bulk_congestion,
		 "congestion control of bulk lanes, as \"bbr\", where the kernel has it; empty: the system's (telepage_bulk)");

/* one control operation at a time; outermost of the lock order in telepage.h */
DEFINE_MUTEX(tp_ctl_mutex);
struct workqueue_struct *tp_wq;		/* what may block in send, and what feeds it */
struct workqueue_struct *tp_end_wq;	/* ends: of a lane, of a region's fill */

static int __init tp_init(void)
{
	int err;

	/* regions, wire and peers count in pages of this size */
	BUILD_BUG_ON(PAGE_SIZE != TELEPAGE_PAGE_SIZE);
	BUILD_BUG_ON(TP_PAGE != TELEPAGE_PAGE_SIZE);

	/* A lane may block in send: enough workers that one cannot stop another. */
	tp_wq = alloc_workqueue("telepage", WQ_UNBOUND | WQ_HIGHPRI, WQ_UNBOUND_MAX_ACTIVE);
	if (!tp_wq)
		return -ENOMEM;
	/* Blocked sends end when their lane does: that must never wait for a worker of theirs. */
	tp_end_wq = alloc_workqueue("telepage_end", WQ_UNBOUND, 0);
	err = -ENOMEM;
	if (!tp_end_wq)
		goto err_wq;
	err = tp_request_init();
	if (err)
		goto err_end_wq;
	err = tp_origin_init();
	if (err)
		goto err_request;
	err = tp_fs_init();
	if (err)
		goto err_origin;
	err = tp_congestion_init();
	if (err)
		goto err_fs;
	err = tp_sysfs_init();
	if (err)
		goto err_congestion;
	err = tp_netlink_init();
	if (err)
		goto err_sysfs;
	err = tp_plan_init();
	if (err)
		goto err_netlink;
	return 0;

err_netlink:
	tp_netlink_exit();
err_sysfs:
	tp_sysfs_exit();
err_congestion:
	tp_congestion_exit();
err_fs:
	tp_fs_exit();
err_origin:
	tp_origin_exit();
err_request:
	tp_request_exit();
err_end_wq:
	destroy_workqueue(tp_end_wq);
err_wq:
	destroy_workqueue(tp_wq);
	return err;
}

/*
 * Regions pin the module through their superblock, so there are none here; links
 * and exports of files may be left and go with the netlink family.
 */
static void __exit tp_exit(void)
{
	tp_plan_exit();
	tp_netlink_exit();
	tp_sysfs_exit();
	destroy_workqueue(tp_wq);
	destroy_workqueue(tp_end_wq);
	tp_congestion_exit();
	tp_origin_exit();
	tp_fs_exit();
	tp_request_exit();
}

module_init(tp_init);
module_exit(tp_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Demand-paged guest memory between hosts");
MODULE_ALIAS_FS("telepage");
MODULE_ALIAS_GENL_FAMILY("telepage");
