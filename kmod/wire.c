// SPDX-License-Identifier: GPL-2.0
/*
 * wire.c - encoding and decoding of what crosses a lane, see wire.h
 *
 * A decoder that refuses answers a text that says why, for the log and the
 * event; NULL is success.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#include <linux/unaligned.h>
#else
#include <string.h>
#endif
#include "wire.h"

#ifndef __KERNEL__
static void put_unaligned_le16(u16 v, void *p)
{
	u8 *b = p;

	b[0] = v;
	b[1] = v >> 8;
}

static void put_unaligned_le32(u32 v, void *p)
{
	put_unaligned_le16(v, p);
	put_unaligned_le16(v >> 16, (u8 *)p + 2);
}

static void put_unaligned_le64(u64 v, void *p)
{
	put_unaligned_le32(v, p);
	put_unaligned_le32(v >> 32, (u8 *)p + 4);
}

static u16 get_unaligned_le16(const void *p)
{
	const u8 *b = p;

	return b[0] | b[1] << 8;
}

static u32 get_unaligned_le32(const void *p)
{
	return get_unaligned_le16(p) | (u32)get_unaligned_le16((const u8 *)p + 2) << 16;
}

static u64 get_unaligned_le64(const void *p)
{
	return get_unaligned_le32(p) | (u64)get_unaligned_le32((const u8 *)p + 4) << 32;
}
#endif

/*
 * Header: magic 0..1, type 2, codec 3, export 4..7, index 8..15,
 * count 16..19, gen 20..23, len 24..27, code 28..29, reserved 30..31.
 */

/**
 * tp_wire_put_hdr - encode a header
 * @buf: TP_HDR_LEN bytes
 * @hdr: what to say
 *
 * Context: any.
 */
void tp_wire_put_hdr(u8 *buf, const struct tp_hdr *hdr)
{
	memset(buf, 0, TP_HDR_LEN);
	put_unaligned_le16(TP_WIRE_MAGIC, buf);
	buf[2] = hdr->type;
	buf[3] = hdr->codec;
	put_unaligned_le32(hdr->export, buf + 4);
	put_unaligned_le64(hdr->index, buf + 8);
	put_unaligned_le32(hdr->count, buf + 16);
	put_unaligned_le32(hdr->gen, buf + 20);
	put_unaligned_le32(hdr->len, buf + 24);
	put_unaligned_le16(hdr->code, buf + 28);
}

static const char *tp_wire_check(const struct tp_hdr *hdr)
{
	if (hdr->codec && hdr->type != TP_MSG_DATA)
		return "packing where there is nothing to pack";
	switch (hdr->type) {
	case TP_MSG_HELLO:
		return hdr->len == TP_HELLO_LEN ? NULL : "greeting of a wrong length";
	case TP_MSG_DEMAND:
		if (!hdr->count || hdr->count > TP_LIST_MAX)
			return "demand of no or too many pages";
		return hdr->len == hdr->count * TP_DEMAND_LEN ? NULL : "demand of a wrong length";
	case TP_MSG_WANT:
		if (!hdr->count || hdr->count > TP_LIST_MAX)
			return "want of no or too many runs";
		return hdr->len == hdr->count * TP_RUN_LEN ? NULL : "want of a wrong length";
	case TP_MSG_DATA:
		if (!hdr->count || hdr->count > TP_DATA_MAX)
			return "data of no or too many pages";
		if (hdr->codec > TP_CODEC_ZSTD)
			return "data packed in an unknown way";
		if (hdr->codec != TP_CODEC_RAW)
			return hdr->len && hdr->len < hdr->count * TP_PAGE ?
				NULL : "packed data of a wrong length";
		return hdr->len == hdr->count * TP_PAGE ? NULL : "data of a wrong length";
	case TP_MSG_ZERO:
		if (!hdr->count)
			return "zero run of no pages";
		return hdr->len ? "zero run with payload" : NULL;
	case TP_MSG_FAIL:
		return hdr->len ? "failure with payload" : NULL;
	case TP_MSG_STALE:
		if (hdr->count > TP_LIST_MAX || !hdr->gen || hdr->code & ~TP_STALE_ALL)
			return "stale pages of no round, or too many runs";
		return hdr->len == hdr->count * TP_RUN_LEN ? NULL : "stale pages of a wrong length";
	case TP_MSG_ROUND:
		return hdr->len || !hdr->gen ? "round with payload, or none" : NULL;
	}
	return "unknown message";
}

/**
 * tp_wire_get_hdr - decode and check a header
 * @buf: TP_HDR_LEN bytes from the peer
 * @hdr: out
 *
 * Only what can be said without knowing regions is checked here: that type,
 * count and length fit together and are bounded.
 *
 * Context: any.
 * Return: NULL, or why the header is refused.
 */
const char *tp_wire_get_hdr(const u8 *buf, struct tp_hdr *hdr)
{
	if (get_unaligned_le16(buf) != TP_WIRE_MAGIC)
		return "not a telepage message";
	hdr->type = buf[2];
	hdr->codec = buf[3];
	hdr->export = get_unaligned_le32(buf + 4);
	hdr->index = get_unaligned_le64(buf + 8);
	hdr->count = get_unaligned_le32(buf + 16);
	hdr->gen = get_unaligned_le32(buf + 20);
	hdr->len = get_unaligned_le32(buf + 24);
	hdr->code = get_unaligned_le16(buf + 28);
	if (get_unaligned_le16(buf + 30))
		return "reserved bytes of a header that are not zero";
	return tp_wire_check(hdr);
}

/**
 * tp_wire_put_hello - encode a greeting
 * @buf: TP_HELLO_LEN bytes
 * @hello: what to say
 */
void tp_wire_put_hello(u8 *buf, const struct tp_hello *hello)
{
	memset(buf, 0, TP_HELLO_LEN);
	memcpy(buf, "telepage", 8);
	put_unaligned_le16(hello->version, buf + 8);
	put_unaligned_le16(hello->lane, buf + 10);
	put_unaligned_le32(TP_PAGE, buf + 12);
}

/**
 * tp_wire_get_hello - decode and check a greeting
 * @buf: TP_HELLO_LEN bytes from the peer
 * @hello: out
 *
 * Return: NULL, or why the greeting is refused.
 */
const char *tp_wire_get_hello(const u8 *buf, struct tp_hello *hello)
{
	if (memcmp(buf, "telepage", 8))
		return "the peer does not speak telepage";
	hello->version = get_unaligned_le16(buf + 8);
	hello->lane = get_unaligned_le16(buf + 10);
	if (hello->version != TP_WIRE_VERSION)
		return "the peer speaks another version of the wire protocol";
	if (get_unaligned_le32(buf + 12) != TP_PAGE)
		return "the peer has another page size";
	return NULL;
}

/* The payload entries have no invalid encoding; their users ask tp_wire_fits(). */

void tp_wire_put_demand(u8 *buf, const struct tp_demand *d)
{
	put_unaligned_le32(d->export, buf);
	put_unaligned_le32(d->gen, buf + 4);
	put_unaligned_le64(d->index, buf + 8);
}

void tp_wire_get_demand(const u8 *buf, struct tp_demand *d)
{
	d->export = get_unaligned_le32(buf);
	d->gen = get_unaligned_le32(buf + 4);
	d->index = get_unaligned_le64(buf + 8);
}

void tp_wire_put_run(u8 *buf, const struct tp_run *r)
{
	put_unaligned_le64(r->index, buf);
	put_unaligned_le64(r->count, buf + 8);
}

void tp_wire_get_run(const u8 *buf, struct tp_run *r)
{
	r->index = get_unaligned_le64(buf);
	r->count = get_unaligned_le64(buf + 8);
}

/**
 * tp_wire_next_run - decode a run of a list that is ascending
 * @buf: TP_RUN_LEN bytes from the peer
 * @nr: pages of the region
 * @next: where the run before has ended, 0 for the first; in and out
 * @r: out
 *
 * Ascending, so that a message costs no more than the region is large.
 *
 * Return: is it within the region, and behind the one before?
 */
bool tp_wire_next_run(const u8 *buf, u64 nr, u64 *next, struct tp_run *r)
{
	tp_wire_get_run(buf, r);
	if (!tp_wire_fits(r->index, r->count, nr) || r->index < *next)
		return false;
	*next = r->index + r->count;
	return true;
}
