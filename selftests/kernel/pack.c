// SPDX-License-Identifier: GPL-2.0
/*
 * pack.c - pages that are packed for the way, and peers that pack badly
 */
#include "peer.h"

#define NR	2048UL
#define SIZE	(NR * TK_PAGE)
#define EXPORT	5	/* our number of what region "d" imports from us */

/* pages of text, with a line in each that no other page has */
static void text(uint8_t *page, unsigned long i)
{
	size_t n;

	for (n = 0; n < TK_PAGE; n += 64)
		memcpy(page + n, "It was the best of times, it was the worst of times, it was the\n", 64);
	snprintf((char *)page, 64, "page %lu", i);
}

static void fill_text(const char *name)
{
	int fd = tk_open(name, O_WRONLY);
	uint8_t page[TK_PAGE];
	unsigned long i;

	for (i = 0; i < NR; i++) {
		if (i % 8 == 7)
			tk_page(page, 1, i);	/* what does not pack is in between */
		else
			text(page, i);
		if (pwrite(fd, page, TK_PAGE, i * TK_PAGE) != (ssize_t)TK_PAGE)
			tk_die("write: %m");
	}
	close(fd);
}

static unsigned long wrong_text(const uint8_t *map, unsigned long step)
{
	uint8_t page[TK_PAGE];
	unsigned long i, n = 0;

	for (i = step - 1; i < NR; i += step) {
		if (i % 8 == 7)
			tk_page(page, 1, i);
		else
			text(page, i);
		n += memcmp(page, map + i * TK_PAGE, TK_PAGE) != 0;
	}
	return n;
}

static int tune(const char *region, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/fs/telepage/%s/%s", region, file);
	return tk_write_file(path, value);
}

static void test_tunables(void)
{
	char buf[32];

	tk_new("s", NR);
	tap_ok(tune("s", "compress", "maybe") == -EINVAL && tune("s", "compress_level", "0") < 0 &&
	       tune("s", "compress_level", "99") < 0 && !tune("s", "compress_level", "9") &&
	       !tune("s", "compress", "on") &&
	       !strcmp(tk_cat("/sys/fs/telepage/s/compress", buf, sizeof(buf)), "on"),
	       "what the tunables of packing take");
	tk_del("s");
}

static void test_modes(void)
{
	static const char *const modes[] = { "off", "auto", "on" };
	uint64_t bytes[3];
	struct tk_pair p;
	uint8_t *map;
	unsigned int m;
	bool right;

	for (m = 0; m < 3; m++) {
		tk_events_forget();
		tk_pair_open(&p, 2, false);
		tk_new("s", NR);
		fill_text("s");
		tune("s", "compress", modes[m]);
		tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
		tk_import(&p, "s", "d", true);
		map = tk_map("d", NR, PROT_READ, MAP_SHARED);
		right = tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !wrong_text(map, 1);
		tk_unmap(map, NR);
		bytes[m] = tk_stat("d").stats.rx_bytes;
		tap_ok(right, "pushed with compress %s every page is right", modes[m]);
		tk_import_end("s", "d");

		tk_new("s", NR);
		fill_text("s");
		tune("s", "compress", modes[m]);
		tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
		tk_import(&p, "s", "d", false);
		tune("d", "prefetch", "none");
		map = tk_map("d", NR, PROT_READ, MAP_SHARED);
		tap_ok(!wrong_text(map, 15) && tk_stat("d").stats.demand == NR / 15,
		       "and so it is on demand");
		tk_unmap(map, NR);
		tk_import_end("s", "d");
		tk_pair_close(&p);
	}
	tap_note("%llu bytes off, %llu auto, %llu on", (unsigned long long)bytes[0],
		 (unsigned long long)bytes[1], (unsigned long long)bytes[2]);
	tap_ok(bytes[0] >= SIZE && bytes[2] < SIZE / 2, "packed it is less than half");
}

/* ---- peers that pack badly ---- */

static uint32_t link_id;

/* one LZ4 block that becomes @len times @c */
static size_t lz4_run(uint8_t *out, uint8_t c, size_t len)
{
	size_t match = len - 6 - 4 - 15, n = 0;

	out[n++] = 1 << 4 | 15;
	out[n++] = c;
	out[n++] = 1;
	out[n++] = 0;
	for (; match >= 255; match -= 255)
		out[n++] = 255;
	out[n++] = match;
	out[n++] = 5 << 4;
	memset(out + n, c, 5);
	return n + 5;
}

/* one zstd frame of @blocks blocks, each @len times @c; it says @says bytes */
static size_t zstd_run(uint8_t *out, uint8_t c, size_t len, unsigned int blocks, uint32_t says)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xa0 };
	size_t n = sizeof(magic), i;

	memcpy(out, magic, n);
	for (i = 0; i < 4; i++)
		out[n++] = says >> 8 * i;
	for (i = 0; i < blocks; i++) {
		uint32_t head = len << 3 | 1 << 1 | (i + 1 == blocks);

		out[n++] = head;
		out[n++] = head >> 8;
		out[n++] = head >> 16;
		out[n++] = c;
	}
	return n;
}

static void packed(int fd, uint64_t index, unsigned int count, unsigned int codec,
		   const uint8_t *data, size_t len)
{
	struct tp_hdr hdr = { .type = TP_MSG_DATA, .codec = codec, .export = EXPORT,
			      .index = index, .count = count, .len = len };

	peer_say(fd, &hdr, data, len);
}

static void test_honest_packing(void)
{
	uint8_t buf[4096];
	uint8_t *map;
	int fd;

	map = tk_map("d", 64, PROT_READ, MAP_SHARED);
	fd = peer_greeted_lane(link_id, 1);
	packed(fd, 0, 1, TP_CODEC_LZ4, buf, lz4_run(buf, 0xab, TK_PAGE));
	packed(fd, 1, 2, TP_CODEC_LZ4, buf, lz4_run(buf, 0xcd, 2 * TK_PAGE));
	packed(fd, 3, 1, TP_CODEC_ZSTD, buf, zstd_run(buf, 0xef, TK_PAGE, 1, TK_PAGE));
	packed(fd, 4, 2, TP_CODEC_ZSTD, buf, zstd_run(buf, 0x12, TK_PAGE, 2, 2 * TK_PAGE));
	tap_ok(tk_until(tk_stat("d").resident == 6) && map[0] == 0xab && map[TK_PAGE - 1] == 0xab &&
	       map[TK_PAGE] == 0xcd && map[3 * TK_PAGE - 1] == 0xcd && map[3 * TK_PAGE] == 0xef &&
	       map[4 * TK_PAGE] == 0x12 && map[6 * TK_PAGE - 1] == 0x12,
	       "packed by hand as the formats say, pages come right");
	tk_unmap(map, 64);
	close(fd);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link_id, NULL);
}

static void bad_packing(const char *what, unsigned int count, unsigned int codec,
			const uint8_t *data, size_t len)
{
	struct tp_event ev = { .error = 0 };
	int fd = peer_greeted_lane(link_id, 1);
	struct tp_link l;
	uint64_t before;

	tk_ok(tp_link_get(tk_nl, link_id, &l), "link");
	before = l.bad;
	tp_link_clear(&l);
	packed(fd, 20, count, codec, data, len);
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link_id, &ev) && ev.error &&
	       !tp_link_get(tk_nl, link_id, &l) && l.bad == before + 1 &&
	       tk_stat("d").resident == 6, "%s: the lane is given up, no page is made", what);
	tp_link_clear(&l);
	close(fd);
}

static void test_bad_packing(void)
{
	static uint8_t buf[TP_PAYLOAD_MAX], junk[TP_PAYLOAD_MAX];
	unsigned int i;
	size_t n;

	for (i = 0; i < sizeof(junk); i++)
		junk[i] = i * 2654435761U >> 24;
	bad_packing("LZ4 that is none", 1, TP_CODEC_LZ4, junk, 1000);
	bad_packing("LZ4 that is too short", 1, TP_CODEC_LZ4, buf, lz4_run(buf, 1, TK_PAGE - 1));
	bad_packing("LZ4 that is too long", 1, TP_CODEC_LZ4, buf, lz4_run(buf, 1, TK_PAGE + 1));
	bad_packing("LZ4 of a megabyte", 2, TP_CODEC_LZ4, buf, lz4_run(buf, 1, 1 << 20));
	n = lz4_run(buf, 1, TK_PAGE);
	buf[2] = 9;
	bad_packing("LZ4 that copies from before its beginning", 1, TP_CODEC_LZ4, buf, n);
	n = lz4_run(buf, 1, TK_PAGE);
	bad_packing("LZ4 that is cut off", 1, TP_CODEC_LZ4, buf, n - 7);
	bad_packing("LZ4 of one byte", 1, TP_CODEC_LZ4, junk, 1);
	bad_packing("zstd that is none", 64, TP_CODEC_ZSTD, junk, 200000);
	bad_packing("zstd that is too short", 1, TP_CODEC_ZSTD, buf,
		    zstd_run(buf, 1, TK_PAGE - 1, 1, TK_PAGE - 1));
	bad_packing("zstd that is too long", 1, TP_CODEC_ZSTD, buf,
		    zstd_run(buf, 1, TK_PAGE, 2, 2 * TK_PAGE));
	bad_packing("zstd that says less than it is", 1, TP_CODEC_ZSTD, buf,
		    zstd_run(buf, 1, 65536, 60, TK_PAGE));
	bad_packing("zstd of four gigabytes", 1, TP_CODEC_ZSTD, buf,
		    zstd_run(buf, 1, TK_PAGE, 1, UINT32_MAX));
	n = zstd_run(buf, 1, TK_PAGE, 1, TK_PAGE);
	bad_packing("zstd that is cut off", 1, TP_CODEC_ZSTD, buf, n - 1);
	bad_packing("zstd with something behind it", 1, TP_CODEC_ZSTD, buf, n + 100);
	bad_packing("an unknown packing", 1, TP_CODEC_ZSTD + 1, buf, n);
	bad_packing("packed data as long as it is raw", 1, TP_CODEC_LZ4, junk, TK_PAGE);
	bad_packing("packed data of no length", 1, TP_CODEC_LZ4, junk, 0);
}

int main(void)
{
	tk_init();
	test_tunables();
	test_modes();
	tk_ok(tp_link_new(tk_nl, "", &link_id), "link");
	tk_new("d", 64);
	tk_ok(tp_region_import(tk_nl, "d", link_id, EXPORT, true), "import");
	test_honest_packing();
	test_bad_packing();
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
	tk_ok(tp_link_del(tk_nl, link_id), "link del");
	return tap_done();
}
