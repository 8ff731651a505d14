/* SPDX-License-Identifier: GPL-2.0 */
/*
 * wire.h - what crosses a lane, as bytes
 *
 * Pure encoding and decoding: no sockets, no allocation, no kernel service, so
 * that the same file compiles in userspace. Documentation/wire.md tells the
 * protocol as prose.
 *
 * Everything is little-endian. A message is a header of TP_HDR_LEN bytes and
 * @len bytes of payload. tp_wire_get_hdr() accepts nothing whose fields do not
 * fit together; what it accepts is bounded: payload never exceeds TP_PAYLOAD_MAX.
 */
#ifndef TP_WIRE_H
#define TP_WIRE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

#define TP_WIRE_MAGIC		0x5054	/* "TP" */
#define TP_WIRE_VERSION		1
#define TP_HDR_LEN		32
#define TP_HELLO_LEN		16
#define TP_DEMAND_LEN		16
#define TP_RUN_LEN		16
#define TP_PAGE			4096
#define TP_DATA_MAX		64	/* pages in one DATA message */
#define TP_LIST_MAX		256	/* entries in one DEMAND or WANT message */
#define TP_PAYLOAD_MAX		(TP_DATA_MAX * TP_PAGE)

/**
 * enum tp_codec - how the pages of a DATA message are packed
 * @TP_CODEC_RAW: as they are
 * @TP_CODEC_LZ4: one LZ4 block
 * @TP_CODEC_ZSTD: one zstd frame
 */
enum tp_codec {
	TP_CODEC_RAW,
	TP_CODEC_LZ4,
	TP_CODEC_ZSTD,
};

/**
 * enum tp_msg - the messages
 * @TP_MSG_HELLO: first on each lane, both ways; payload &struct tp_hello
 * @TP_MSG_DEMAND: urgent lane, to the source: @count entries of &struct
 *	tp_demand, each a page that a task waits for, of any export
 * @TP_MSG_WANT: urgent lane, to the source: @count runs of &struct tp_run of
 *	export @export that may be pushed, ascending. Replaces nothing, adds.
 * @TP_MSG_DATA: to the destination: @count pages of @export from page @index,
 *	packed with @codec; packed is always shorter than raw. On the urgent lane the
 *	reply to a demand, @gen says which one; on a bulk lane pushed, @gen is 0
 * @TP_MSG_ZERO: the same, but all @count pages are zero; no payload
 * @TP_MSG_FAIL: to the destination: page @index of @export cannot be had; lane and
 *	@gen as in DATA, @code a positive errno
 * @TP_MSG_STALE: urgent lane, to the destination, of an import that began live: @count
 *	runs of pages of @export, ascending, whose content is not what was pushed any
 *	more. @gen is the round that begins with them; @code: TP_STALE_LAST ends the
 *	list, TP_STALE_FINAL in all of its messages says that the source writes no more
 * @TP_MSG_ROUND: urgent lane, to the source: the whole list of round @gen was obeyed
 *
 * While an import is live, @gen of what is pushed on a bulk lane is its round, and what
 * is of another round is dropped.
 */
enum tp_msg {
	TP_MSG_HELLO = 1,
	TP_MSG_DEMAND,
	TP_MSG_WANT,
	TP_MSG_DATA,
	TP_MSG_ZERO,
	TP_MSG_FAIL,
	TP_MSG_STALE,
	TP_MSG_ROUND,
};

#define TP_STALE_LAST	1
#define TP_STALE_FINAL	2
#define TP_STALE_ALL	(TP_STALE_LAST | TP_STALE_FINAL)

/**
 * struct tp_hdr - a decoded header
 * @type: &enum tp_msg
 * @codec: &enum tp_codec of DATA
 * @code: errno of FAIL, flags of STALE
 * @export: the source's number of the export; 0 where none
 * @index: first page
 * @count: pages, or entries of the payload
 * @gen: which request is answered, or which round it is
 * @len: bytes of payload that follow
 */
struct tp_hdr {
	u8 type;
	u8 codec;
	u16 code;
	u32 export;
	u64 index;
	u32 count;
	u32 gen;
	u32 len;
};

/**
 * struct tp_hello - who is there
 * @version: TP_WIRE_VERSION
 * @lane: number of the lane, as this side knows it
 */
struct tp_hello {
	u16 version;
	u16 lane;
};

struct tp_demand {
	u32 export;
	u32 gen;
	u64 index;
};

struct tp_run {
	u64 index;
	u64 count;
};

/**
 * tp_wire_fits - are there such pages?
 * @index: first page, from the peer
 * @count: how many, from the peer
 * @nr: pages of the region
 *
 * Nothing from the peer is added up before: @index + @count may overflow.
 */
static inline bool tp_wire_fits(u64 index, u64 count, u64 nr)
{
	return index < nr && count <= nr - index;
}

void tp_wire_put_hdr(u8 *buf, const struct tp_hdr *hdr);
const char *tp_wire_get_hdr(const u8 *buf, struct tp_hdr *hdr);
void tp_wire_put_hello(u8 *buf, const struct tp_hello *hello);
const char *tp_wire_get_hello(const u8 *buf, struct tp_hello *hello);
void tp_wire_put_demand(u8 *buf, const struct tp_demand *d);
void tp_wire_get_demand(const u8 *buf, struct tp_demand *d);
void tp_wire_put_run(u8 *buf, const struct tp_run *r);
void tp_wire_get_run(const u8 *buf, struct tp_run *r);
bool tp_wire_next_run(const u8 *buf, u64 nr, u64 *next, struct tp_run *r);

#endif /* TP_WIRE_H */
