/* SPDX-License-Identifier: GPL-2.0 */
/*
 * trace.h - a tracepoint for each stage of a page's way
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM telepage

#if !defined(TP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define TP_TRACE_H

#include <linux/tracepoint.h>
#include "telepage.h"

DECLARE_EVENT_CLASS(telepage_range,
	TP_PROTO(const struct tp_region *r, unsigned long index, unsigned long count, u64 arg),
	TP_ARGS(r, index, count, arg),
	TP_STRUCT__entry(
		__array(char, region, TELEPAGE_NAME_MAX + 1)
		__field(unsigned long, index)
		__field(unsigned long, count)
		__field(u64, arg)
	),
	TP_fast_assign(
		strscpy(__entry->region, r->name, sizeof(__entry->region));
		__entry->index = index;
		__entry->count = count;
		__entry->arg = arg;
	),
	TP_printk("region=%s page=%lu count=%lu arg=%llu", __entry->region, __entry->index,
		  __entry->count, __entry->arg)
);

/* a task touched a page without a folio; flags as in FAULT_FLAG_* */
TRACE_EVENT(telepage_fault,
	TP_PROTO(const struct tp_region *r, unsigned long index, unsigned int flags),
	TP_ARGS(r, index, flags),
	TP_STRUCT__entry(
		__array(char, region, TELEPAGE_NAME_MAX + 1)
		__field(unsigned long, index)
		__field(unsigned int, flags)
	),
	TP_fast_assign(
		strscpy(__entry->region, r->name, sizeof(__entry->region));
		__entry->index = index;
		__entry->flags = flags;
	),
	TP_printk("region=%s page=%lu flags=%#x nowait=%d", __entry->region, __entry->index,
		  __entry->flags, !!(__entry->flags & FAULT_FLAG_RETRY_NOWAIT))
);

/* a page's file does not have it, or not what its digest says (EBADMSG) */
TRACE_EVENT(telepage_distrust,
	TP_PROTO(const struct tp_region *r, unsigned long index, int err),
	TP_ARGS(r, index, err),
	TP_STRUCT__entry(
		__array(char, region, TELEPAGE_NAME_MAX + 1)
		__field(unsigned long, index)
		__field(int, err)
	),
	TP_fast_assign(
		strscpy(__entry->region, r->name, sizeof(__entry->region));
		__entry->index = index;
		__entry->err = err;
	),
	TP_printk("region=%s page=%lu err=%d", __entry->region, __entry->index, __entry->err)
);

/* a page is asked for the first time */
TRACE_EVENT(telepage_request,
	TP_PROTO(const struct tp_region *r, unsigned long index, u32 gen),
	TP_ARGS(r, index, gen),
	TP_STRUCT__entry(
		__array(char, region, TELEPAGE_NAME_MAX + 1)
		__field(unsigned long, index)
		__field(u32, gen)
	),
	TP_fast_assign(
		strscpy(__entry->region, r->name, sizeof(__entry->region));
		__entry->index = index;
		__entry->gen = gen;
	),
	TP_printk("region=%s page=%lu gen=%u", __entry->region, __entry->index, __entry->gen)
);

/* the waiters of a page are told; ns since it was asked for */
TRACE_EVENT(telepage_done,
	TP_PROTO(const struct tp_region *r, unsigned long index, u64 ns, int err),
	TP_ARGS(r, index, ns, err),
	TP_STRUCT__entry(
		__array(char, region, TELEPAGE_NAME_MAX + 1)
		__field(unsigned long, index)
		__field(u64, ns)
		__field(int, err)
	),
	TP_fast_assign(
		strscpy(__entry->region, r->name, sizeof(__entry->region));
		__entry->index = index;
		__entry->ns = ns;
		__entry->err = err;
	),
	TP_printk("region=%s page=%lu ns=%llu err=%d", __entry->region, __entry->index,
		  __entry->ns, __entry->err)
);

/* pages became resident, or zero; arg: the request that asked, 0 pushed */
DEFINE_EVENT(telepage_range, telepage_place,
	TP_PROTO(const struct tp_region *r, unsigned long index, unsigned long count, u64 arg),
	TP_ARGS(r, index, count, arg));

/* pages are asked for ahead of use, up to index; arg: how many there may be on the link */
DEFINE_EVENT(telepage_range, telepage_ahead,
	TP_PROTO(const struct tp_region *r, unsigned long index, unsigned long count, u64 arg),
	TP_ARGS(r, index, count, arg));

/* dirty bits were read; arg: how many were set */
DEFINE_EVENT(telepage_range, telepage_harvest,
	TP_PROTO(const struct tp_region *r, unsigned long index, unsigned long count, u64 arg),
	TP_ARGS(r, index, count, arg));

/* the fence is up; dirty pages whose write permission went */
TRACE_EVENT(telepage_freeze,
	TP_PROTO(const struct tp_region *r, unsigned long dirty),
	TP_ARGS(r, dirty),
	TP_STRUCT__entry(
		__array(char, region, TELEPAGE_NAME_MAX + 1)
		__field(unsigned long, dirty)
	),
	TP_fast_assign(
		strscpy(__entry->region, r->name, sizeof(__entry->region));
		__entry->dirty = dirty;
	),
	TP_printk("region=%s dirty=%lu", __entry->region, __entry->dirty)
);

/* one message of demands leaves */
TRACE_EVENT(telepage_send,
	TP_PROTO(u32 link, unsigned int pages),
	TP_ARGS(link, pages),
	TP_STRUCT__entry(
		__field(u32, link)
		__field(unsigned int, pages)
	),
	TP_fast_assign(
		__entry->link = link;
		__entry->pages = pages;
	),
	TP_printk("link=%u pages=%u", __entry->link, __entry->pages)
);

/* the source answers a demand */
TRACE_EVENT(telepage_serve,
	TP_PROTO(u32 link, u32 export, unsigned long index, bool zero),
	TP_ARGS(link, export, index, zero),
	TP_STRUCT__entry(
		__field(u32, link)
		__field(u32, export)
		__field(unsigned long, index)
		__field(bool, zero)
	),
	TP_fast_assign(
		__entry->link = link;
		__entry->export = export;
		__entry->index = index;
		__entry->zero = zero;
	),
	TP_printk("link=%u export=%u page=%lu zero=%d", __entry->link, __entry->export,
		  __entry->index, __entry->zero)
);

/* the source pushes */
TRACE_EVENT(telepage_push,
	TP_PROTO(u32 link, u32 export, unsigned long index, unsigned int count, bool zero),
	TP_ARGS(link, export, index, count, zero),
	TP_STRUCT__entry(
		__field(u32, link)
		__field(u32, export)
		__field(unsigned long, index)
		__field(unsigned int, count)
		__field(bool, zero)
	),
	TP_fast_assign(
		__entry->link = link;
		__entry->export = export;
		__entry->index = index;
		__entry->count = count;
		__entry->zero = zero;
	),
	TP_printk("link=%u export=%u page=%lu count=%u zero=%d", __entry->link, __entry->export,
		  __entry->index, __entry->count, __entry->zero)
);

/* a live round begins: at the source it is told, at the destination it was obeyed */
TRACE_EVENT(telepage_round,
	TP_PROTO(u32 link, u32 export, u32 round, bool last),
	TP_ARGS(link, export, round, last),
	TP_STRUCT__entry(
		__field(u32, link)
		__field(u32, export)
		__field(u32, round)
		__field(bool, last)
	),
	TP_fast_assign(
		__entry->link = link;
		__entry->export = export;
		__entry->round = round;
		__entry->last = last;
	),
	TP_printk("link=%u export=%u round=%u last=%d", __entry->link, __entry->export,
		  __entry->round, __entry->last)
);

/* a sample began; nr: pages in it */
TRACE_EVENT(telepage_sample,
	TP_PROTO(const struct tp_region *r, u32 every, unsigned long nr),
	TP_ARGS(r, every, nr),
	TP_STRUCT__entry(
		__array(char, region, TELEPAGE_NAME_MAX + 1)
		__field(u32, every)
		__field(unsigned long, nr)
	),
	TP_fast_assign(
		strscpy(__entry->region, r->name, sizeof(__entry->region));
		__entry->every = every;
		__entry->nr = nr;
	),
	TP_printk("region=%s every=%u nr=%lu", __entry->region, __entry->every, __entry->nr)
);

/* an event of a userfaultfd, or an answer to it; ret: bytes, errno, or flags */
TRACE_EVENT(telepage_uffd,
	TP_PROTO(const struct tp_region *r, const char *what, u64 addr, u64 len, s64 ret),
	TP_ARGS(r, what, addr, len, ret),
	TP_STRUCT__entry(
		__array(char, region, TELEPAGE_NAME_MAX + 1)
		__array(char, what, 12)
		__field(u64, addr)
		__field(u64, len)
		__field(s64, ret)
	),
	TP_fast_assign(
		strscpy(__entry->region, r->name, sizeof(__entry->region));
		strscpy(__entry->what, what, sizeof(__entry->what));
		__entry->addr = addr;
		__entry->len = len;
		__entry->ret = ret;
	),
	TP_printk("region=%s %s addr=%#llx len=%#llx ret=%lld", __entry->region, __entry->what,
		  __entry->addr, __entry->len, __entry->ret)
);

/* a lane came up or was lost */
TRACE_EVENT(telepage_lane,
	TP_PROTO(u32 link, u32 lane, bool up, int err),
	TP_ARGS(link, lane, up, err),
	TP_STRUCT__entry(
		__field(u32, link)
		__field(u32, lane)
		__field(bool, up)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->link = link;
		__entry->lane = lane;
		__entry->up = up;
		__entry->err = err;
	),
	TP_printk("link=%u lane=%u up=%d err=%d", __entry->link, __entry->lane, __entry->up,
		  __entry->err)
);

#endif /* TP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
