// SPDX-License-Identifier: GPL-2.0
/*
 * what crosses a lane, as bytes: kmod/wire.c. The numbers are those of
 * Documentation/wire.md and not the macros, so that a macro that slips shows.
 */
#include <string.h>

#include "tap.h"
#include "wire.h"

/* one message and why it is refused; NULL: it is not */
struct sample {
	const char *what, *why;
	struct tp_hdr hdr;
};

#define HUGE	UINT64_MAX
#define FULL	UINT32_MAX

static const struct sample samples[] = {
	{ "greeting", NULL, { .type = 1, .len = 16 } },
	{ "greeting, short", "greeting of a wrong length", { .type = 1, .len = 15 } },
	{ "greeting, long", "greeting of a wrong length", { .type = 1, .len = 17 } },
	{ "greeting, empty", "greeting of a wrong length", { .type = 1 } },
	{ "greeting, packed", "packing where there is nothing to pack",
	  { .type = 1, .codec = 1, .len = 16 } },

	{ "demand of a page", NULL, { .type = 2, .count = 1, .len = 16 } },
	{ "demand of 256 pages", NULL, { .type = 2, .count = 256, .len = 4096 } },
	{ "demand of 257 pages", "demand of no or too many pages",
	  { .type = 2, .count = 257, .len = 4112 } },
	{ "demand of no page", "demand of no or too many pages", { .type = 2 } },
	{ "demand whose length would overflow", "demand of no or too many pages",
	  { .type = 2, .count = 0x10000001, .len = 16 } },
	{ "demand, short", "demand of a wrong length", { .type = 2, .count = 2, .len = 31 } },
	{ "demand, long", "demand of a wrong length", { .type = 2, .count = 2, .len = 33 } },
	{ "demand, packed", "packing where there is nothing to pack",
	  { .type = 2, .codec = 2, .count = 1, .len = 16 } },

	{ "want of a run", NULL, { .type = 3, .export = 7, .count = 1, .len = 16 } },
	{ "want of 256 runs", NULL, { .type = 3, .count = 256, .len = 4096 } },
	{ "want of 257 runs", "want of no or too many runs",
	  { .type = 3, .count = 257, .len = 4112 } },
	{ "want of no run", "want of no or too many runs", { .type = 3 } },
	{ "want whose length would overflow", "want of no or too many runs",
	  { .type = 3, .count = 0x10000001, .len = 16 } },
	{ "want, short", "want of a wrong length", { .type = 3, .count = 3, .len = 47 } },
	{ "want, long", "want of a wrong length", { .type = 3, .count = 3, .len = 49 } },
	{ "want, packed", "packing where there is nothing to pack",
	  { .type = 3, .codec = 255, .count = 1, .len = 16 } },

	{ "a page", NULL, { .type = 4, .export = 3, .index = 5, .count = 1, .gen = 9,
	  .len = 4096 } },
	{ "64 pages", NULL, { .type = 4, .count = 64, .len = 262144 } },
	{ "65 pages", "data of no or too many pages", { .type = 4, .count = 65, .len = 266240 } },
	{ "data of no page", "data of no or too many pages", { .type = 4 } },
	{ "data whose length would overflow", "data of no or too many pages",
	  { .type = 4, .count = 0x100001, .len = 4096 } },
	{ "a page, short", "data of a wrong length", { .type = 4, .count = 1, .len = 4095 } },
	{ "a page, long", "data of a wrong length", { .type = 4, .count = 1, .len = 4097 } },
	{ "data of the largest length", "data of a wrong length",
	  { .type = 4, .count = 64, .len = FULL } },
	{ "a page, LZ4", NULL, { .type = 4, .codec = 1, .count = 1, .len = 1 } },
	{ "a page, zstd", NULL, { .type = 4, .codec = 2, .count = 1, .len = 4095 } },
	{ "64 pages, zstd", NULL, { .type = 4, .codec = 2, .count = 64, .len = 262143 } },
	{ "65 pages, zstd", "data of no or too many pages",
	  { .type = 4, .codec = 2, .count = 65, .len = 4096 } },
	{ "packed into nothing", "packed data of a wrong length",
	  { .type = 4, .codec = 1, .count = 1 } },
	{ "packed and as long as raw", "packed data of a wrong length",
	  { .type = 4, .codec = 1, .count = 1, .len = 4096 } },
	{ "packed and longer than raw", "packed data of a wrong length",
	  { .type = 4, .codec = 2, .count = 64, .len = FULL } },
	{ "an unknown packing", "data packed in an unknown way",
	  { .type = 4, .codec = 3, .count = 1, .len = 100 } },
	{ "the last unknown packing", "data packed in an unknown way",
	  { .type = 4, .codec = 255, .count = 1, .len = 4096 } },

	{ "a zero page", NULL, { .type = 5, .index = HUGE, .count = 1, .gen = FULL } },
	{ "the longest zero run", NULL, { .type = 5, .count = FULL } },
	{ "a zero run of no pages", "zero run of no pages", { .type = 5 } },
	{ "a zero run with a byte", "zero run with payload", { .type = 5, .count = 1, .len = 1 } },
	{ "a zero run, packed", "packing where there is nothing to pack",
	  { .type = 5, .codec = 1, .count = 1 } },

	{ "a failure", NULL, { .type = 6, .export = FULL, .index = HUGE, .gen = FULL,
	  .code = 65535 } },
	{ "a failure with a byte", "failure with payload", { .type = 6, .code = 5, .len = 1 } },
	{ "a failure, packed", "packing where there is nothing to pack",
	  { .type = 6, .codec = 1, .code = 5 } },

	{ "message 0", "unknown message", { .type = 0 } },
	{ "stale pages", NULL, { .type = 7, .count = 2, .gen = 1, .len = 32 } },
	{ "the end of a list", NULL, { .type = 7, .gen = 1, .code = 3 } },
	{ "stale pages of no round", "stale pages of no round, or too many runs",
	  { .type = 7, .count = 1, .len = 16 } },
	{ "257 runs of stale pages", "stale pages of no round, or too many runs",
	  { .type = 7, .gen = 1, .count = 257, .len = 4112 } },
	{ "stale pages of an unknown kind", "stale pages of no round, or too many runs",
	  { .type = 7, .gen = 1, .code = 4 } },
	{ "stale pages, short", "stale pages of a wrong length",
	  { .type = 7, .gen = 1, .count = 1, .len = 15 } },
	{ "a round", NULL, { .type = 8, .gen = 1 } },
	{ "no round", "round with payload, or none", { .type = 8 } },
	{ "a round with payload", "round with payload, or none", { .type = 8, .gen = 1, .len = 1 } },
	{ "message 9", "unknown message", { .type = 9, .count = 1 } },
	{ "message 255", "unknown message", { .type = 255 } },
};

static bool same_hdr(const struct tp_hdr *a, const struct tp_hdr *b)
{
	return a->type == b->type && a->codec == b->codec && a->code == b->code &&
	       a->export == b->export && a->index == b->index && a->count == b->count &&
	       a->gen == b->gen && a->len == b->len;
}

static void headers(void)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		uint8_t buf[32], again[32];
		struct tp_hdr got;
		const char *why;

		memset(buf, 0xee, sizeof(buf));
		tp_wire_put_hdr(buf, &s->hdr);
		why = tp_wire_get_hdr(buf, &got);
		if (s->why) {
			tap_str(why, s->why, s->what);
			continue;
		}
		memset(again, 0x11, sizeof(again));
		tp_wire_put_hdr(again, &got);
		tap_ok(!why && same_hdr(&got, &s->hdr) && !memcmp(buf, again, sizeof(buf)),
		       "%s goes there and back", s->what);
	}
}

static void layout(void)
{
	static const uint8_t bytes[32] = {
		0x54, 0x50, 4, 2, 0x01, 0x02, 0x03, 0x04,
		0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
		0x40, 0, 0, 0, 0x21, 0x22, 0x23, 0x24,
		0xff, 0xff, 0x03, 0, 0x31, 0x32, 0, 0,
	};
	static const struct tp_hdr want = {
		.type = 4, .codec = 2, .code = 0x3231, .export = 0x04030201,
		.index = 0x1817161514131211, .count = 64, .gen = 0x24232221, .len = 0x3ffff,
	};
	unsigned int refused = 0;
	uint8_t buf[32];
	struct tp_hdr got;

	tap_ok(!tp_wire_get_hdr(bytes, &got) && same_hdr(&got, &want),
	       "each field of a header has its place");
	tp_wire_put_hdr(buf, &want);
	tap_ok(!memcmp(buf, bytes, sizeof(buf)), "and is written there");
	/* magic in bytes 0 and 1, reserved 30 and 31: none of their bits may change */
	for (unsigned int bit = 0; bit < 32; bit++) {
		memcpy(buf, bytes, sizeof(buf));
		buf[bit < 16 ? bit / 8 : 28 + bit / 8] ^= 1 << bit % 8;
		refused += tp_wire_get_hdr(buf, &got) != NULL;
	}
	tap_ok(refused == 32, "each bit of magic and reserved bytes counts (%u)", refused);
	memcpy(buf, bytes, sizeof(buf));
	buf[31] = 1;
	tap_str(tp_wire_get_hdr(buf, &got), "reserved bytes of a header that are not zero",
		"a reserved byte");
	memset(buf, 0, sizeof(buf));
	tap_str(tp_wire_get_hdr(buf, &got), "not a telepage message", "zeros");
}

static void greetings(void)
{
	static const uint8_t bytes[16] = {
		't', 'e', 'l', 'e', 'p', 'a', 'g', 'e', 1, 0, 0x34, 0x12, 0, 0x10, 0, 0,
	};
	struct tp_hello hello = { .version = 1, .lane = 0x1234 }, got = { 0 };
	uint8_t buf[16];
	size_t i;

	memset(buf, 0xee, sizeof(buf));
	tp_wire_put_hello(buf, &hello);
	tap_ok(!memcmp(buf, bytes, sizeof(buf)), "a greeting as bytes");
	tap_ok(!tp_wire_get_hello(buf, &got) && got.version == 1 && got.lane == 0x1234,
	       "a greeting goes there and back");
	hello.version = 2;
	tp_wire_put_hello(buf, &hello);
	tap_str(tp_wire_get_hello(buf, &got),
		"the peer speaks another version of the wire protocol", "a later version");
	hello.version = 0;
	tp_wire_put_hello(buf, &hello);
	tap_str(tp_wire_get_hello(buf, &got),
		"the peer speaks another version of the wire protocol", "no version");
	memcpy(buf, bytes, sizeof(buf));
	buf[13] = 0x40;
	tap_str(tp_wire_get_hello(buf, &got), "the peer has another page size", "16 KiB pages");
	/* all but the two bytes of the lane are given */
	for (i = 0; i < sizeof(bytes); i++) {
		memcpy(buf, bytes, sizeof(buf));
		buf[i] ^= 0x80;
		if (!tp_wire_get_hello(buf, &got) != (i == 10 || i == 11))
			break;
	}
	tap_ok(i == sizeof(bytes), "each byte of a greeting is looked at (%zu)", i);
	memset(buf, 0, sizeof(buf));
	tap_str(tp_wire_get_hello(buf, &got), "the peer does not speak telepage", "zeros");
}

static void entries(void)
{
	static const uint8_t bytes[16] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
	};
	struct tp_demand d;
	struct tp_run r;
	uint8_t buf[16];

	tp_wire_get_demand(bytes, &d);
	tap_ok(d.export == 0x04030201 && d.gen == 0x08070605 && d.index == 0x100f0e0d0c0b0a09,
	       "a demand's fields");
	tp_wire_put_demand(buf, &d);
	tap_ok(!memcmp(buf, bytes, sizeof(buf)), "a demand goes back");
	tp_wire_get_run(bytes, &r);
	tap_ok(r.index == 0x0807060504030201 && r.count == 0x100f0e0d0c0b0a09, "a run's fields");
	tp_wire_put_run(buf, &r);
	tap_ok(!memcmp(buf, bytes, sizeof(buf)), "a run goes back");
}

static void ranges(void)
{
	tap_ok(tp_wire_fits(0, 1, 1) && tp_wire_fits(0, 100, 100) && tp_wire_fits(99, 1, 100) &&
	       tp_wire_fits(5, 0, 6) && tp_wire_fits(0, HUGE, HUGE) &&
	       tp_wire_fits(HUGE - 1, 1, HUGE), "what is inside of a region");
	tap_ok(!tp_wire_fits(0, 2, 1) && !tp_wire_fits(0, 101, 100) && !tp_wire_fits(99, 2, 100) &&
	       !tp_wire_fits(100, 1, 100) && !tp_wire_fits(100, 0, 100) &&
	       !tp_wire_fits(0, 0, 0) && !tp_wire_fits(0, 1, 0), "what is not");
	/* sums that come out small */
	tap_ok(!tp_wire_fits(1, HUGE, 100) && !tp_wire_fits(HUGE, 1, 100) &&
	       !tp_wire_fits(HUGE, HUGE, 100) && !tp_wire_fits(50, HUGE - 40, 100) &&
	       !tp_wire_fits(HUGE - 40, 50, 100) && !tp_wire_fits(1, HUGE, HUGE),
	       "what is inside only when the sum overflows");
}

static void bounds(void)
{
	tap_ok(TP_HDR_LEN == 32 && TP_HELLO_LEN == 16 && TP_DEMAND_LEN == 16 && TP_RUN_LEN == 16,
	       "lengths are those of the manual");
	tap_ok(TP_DATA_MAX == 64 && TP_LIST_MAX == 256 && TP_PAYLOAD_MAX == 256 * 1024,
	       "bounds are those of the manual");
}

int main(void)
{
	layout();
	headers();
	greetings();
	entries();
	ranges();
	bounds();
	return tap_done();
}
