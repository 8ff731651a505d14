// SPDX-License-Identifier: GPL-2.0
/*
 * zstream.c: what is packed comes out as it was however it is cut into pieces, and what is
 * no whole frame of ours is an error, never other bytes and never memory without bound
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <zstd.h>

#include "tap.h"
#include "zstream.h"

#define SIZE	3000
#define MANY	(256 << 20)

static uint8_t text[SIZE], packed[8192], out[65536];
static size_t packed_len;

/* all of @in in pieces of @piece bytes, made in pieces of @room; -1: an error, in @why */
static ssize_t run(struct zstream *z, const uint8_t *in, size_t len, size_t piece, uint8_t *to,
		   size_t room, const char **why)
{
	size_t at = 0, pos, n, made = 0;
	enum zstream_op op;
	ssize_t got;

	for (op = ZSTREAM_GO; ; at += n) {
		n = len - at < piece ? len - at : piece;
		if (!n)
			op = ZSTREAM_END;
		pos = 0;
		do {
			if (made == sizeof(out)) {
				zstream_free(z);
				return made;
			}
			got = zstream_step(z, op, in + at, &pos, n, to + made,
					   room < sizeof(out) - made ? room : sizeof(out) - made);
			if (got < 0) {
				if (why)
					*why = zstream_error(z);
				zstream_free(z);
				return -1;
			}
			made += got;
		} while (got || pos < n);
		if (!n)
			break;
	}
	zstream_free(z);
	return made;
}

static bool is_text(ssize_t n)
{
	return n == SIZE && !memcmp(out, text, SIZE);
}

static void make_text(void)
{
	uint32_t seed = 1;
	size_t i;

	/* some of it random, some repeats, some zeros: blocks of all kinds */
	for (i = 0; i < SIZE; i++) {
		seed = seed * 1103515245 + 12345;
		text[i] = i < 1000 ? seed >> 16 : i < 2000 ? text[i % 37] : i < 2500 ? 0 :
			  (seed >> 16) & 7;
	}
	packed_len = run(zstream_pack(), text, SIZE, SIZE, packed, sizeof(out), NULL);
	tap_ok(packed_len > 0 && packed_len < SIZE * 2 / 3, "packed: %zu of %u bytes", packed_len,
	       SIZE);
}

static void pieces(void)
{
	uint8_t other[sizeof(out)];
	size_t i, bad = 0;
	ssize_t n;

	tap_ok(is_text(run(zstream_unpack(), packed, packed_len, 8192, out, sizeof(out), NULL)),
	       "unpacked it is what it was");
	for (i = 1; i <= packed_len; i++)
		bad += !is_text(run(zstream_unpack(), packed, packed_len, i, out, sizeof(out), NULL));
	tap_ok(!bad, "in pieces of each size");
	for (i = 1; i <= SIZE; i += 13)
		bad += !is_text(run(zstream_unpack(), packed, packed_len, 7, out, i, NULL));
	tap_ok(!bad, "with room for so few bytes at a time");
	for (i = 1; i <= SIZE; i++) {
		n = run(zstream_pack(), text, SIZE, i, other, i % 100 + 1, NULL);
		bad += n <= 0 || !is_text(run(zstream_unpack(), other, n, 8192, out, sizeof(out), NULL));
	}
	tap_ok(!bad, "packed in pieces of each size");
	n = run(zstream_pack(), text, 0, 1, other, sizeof(out), NULL);
	tap_ok(n > 0 && !run(zstream_unpack(), other, n, 1, out, sizeof(out), NULL),
	       "nothing at all is a stream, too");
}

/* cut in two at each byte, with a flush between: the first half has to be there */
static void flushes(void)
{
	struct zstream *p, *u;
	size_t cut, pos, bad = 0;
	uint8_t buf[8192];
	ssize_t n, made, got;

	for (cut = 0; cut <= SIZE; cut++) {
		p = zstream_pack();
		u = zstream_unpack();
		pos = 0;
		made = 0;
		do {
			n = zstream_step(p, ZSTREAM_FLUSH, text, &pos, cut, buf + made, 100);
			made += n > 0 ? n : 0;
		} while (n > 0);
		bad += n < 0 || pos != cut || zstream_holds(p);
		bad += zstream_step(p, ZSTREAM_FLUSH, text, &pos, cut, buf, 100) != 0;
		pos = 0;
		got = zstream_step(u, ZSTREAM_FLUSH, buf, &pos, made, out, sizeof(out));
		bad += got != (ssize_t)cut || memcmp(out, text, cut) || zstream_holds(u);
		/* being asked for nothing again and again is no error */
		for (int i = 0; i < 100; i++)
			bad += zstream_step(u, ZSTREAM_FLUSH, NULL, &(size_t){ 0 }, 0, out, 1) != 0;
		zstream_free(p);
		zstream_free(u);
	}
	tap_ok(!bad, "flushed at each byte: all before it comes out at once");
}

static const char *error_of(const void *in, size_t len)
{
	const char *why = "nothing";

	return run(zstream_unpack(), in, len, 1000, out, sizeof(out), &why) < 0 ? why : "none";
}

static void truncated(void)
{
	size_t i, bad = 0;

	for (i = 0; i < packed_len; i++)
		bad += strcmp(error_of(packed, i), "it ends too early") != 0;
	tap_ok(!bad, "cut off at each byte: it ends too early");
}

static void damaged(void)
{
	uint8_t copy[sizeof(packed)];
	size_t i, bad = 0, accepted = 0;
	ssize_t n;

	for (i = 0; i < packed_len * 8; i++) {
		memcpy(copy, packed, packed_len);
		copy[i / 8] ^= 1 << i % 8;
		n = run(zstream_unpack(), copy, packed_len, 1000, out, sizeof(out), NULL);
		accepted += is_text(n);
		/* one that swells is not at its end yet */
		bad += n >= 0 && n < (ssize_t)sizeof(out) && !is_text(n);
	}
	tap_ok(!bad, "with each bit turned: never other bytes");
	tap_ok(accepted < 16, "and hardly ever the same: %zu times", accepted);
	memcpy(copy, packed, packed_len);
	copy[packed_len] = 0;
	tap_str(error_of(copy, packed_len + 1), "it goes on behind its end", "a byte behind it");
	memcpy(copy + packed_len, packed, packed_len);
	tap_str(error_of(copy, 2 * packed_len), "it goes on behind its end", "another one behind it");
}

static void strange(void)
{
	static const uint8_t past[] = { 0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t skipped[] = { 0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x' };
	struct zstream *z = zstream_unpack();
	uint8_t big[8192];
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_inBuffer in = { .src = text, .size = SIZE };
	ZSTD_outBuffer o = { .dst = big, .size = sizeof(big) };
	size_t pos = 0;

	tap_str(error_of("QEVM, not packed", 16), "it is no zstd stream", "a stream in the clear");
	tap_str(error_of(text, SIZE), "it is no zstd stream", "garbage");
	tap_str(error_of(past, sizeof(past)), "it is no zstd stream", "a format of the past");
	tap_str(error_of(skipped, sizeof(skipped)), "it is no zstd stream", "a frame to be skipped");
	tap_ok(zstream_step(z, ZSTREAM_GO, packed, &pos, 2, out, 10) == 0 &&
	       zstream_step(z, ZSTREAM_GO, "xx", &(size_t){ 0 }, 2, out, 10) == -EBADMSG,
	       "the first half of the mark is not enough");
	pos = 0;
	tap_ok(zstream_step(z, ZSTREAM_GO, packed, &pos, packed_len, out, 10) == -EBADMSG,
	       "what was broken once stays so");
	zstream_free(z);

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, ZSTREAM_WINDOW_LOG + 1);
	ZSTD_compressStream2(c, &o, &in, ZSTD_e_flush);
	tap_str(error_of(big, o.pos), "Frame requires too much memory for decoding",
		"a window larger than allowed");
	ZSTD_CCtx_reset(c, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setPledgedSrcSize(c, 1ULL << 40);
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 31);
	o.pos = 0;
	in.pos = 0;
	ZSTD_compressStream2(c, &o, &in, ZSTD_e_flush);
	tap_ok(o.pos && run(zstream_unpack(), big, o.pos, 1000, out, sizeof(out), NULL) < 0,
	       "a window of 2 GiB");
	ZSTD_freeCCtx(c);
}

static long rss_kib(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_maxrss;
}

/* a few KiB that stand for very much */
static void bomb(void)
{
	static uint8_t zeros[65536], in[1 << 20];
	struct zstream *p = zstream_pack(), *u = zstream_unpack();
	size_t len = 0, pos, made = 0, most = 0, left, steps = 0;
	ssize_t n;
	long before;

	for (left = MANY; left; left -= sizeof(zeros)) {
		pos = 0;
		n = zstream_step(p, ZSTREAM_GO, zeros, &pos, sizeof(zeros), in + len, sizeof(in) - len);
		len += n > 0 ? n : 0;
	}
	while ((n = zstream_step(p, ZSTREAM_END, NULL, &(size_t){ 0 }, 0, in + len, sizeof(in) - len)) > 0)
		len += n;
	zstream_free(p);
	before = rss_kib();
	pos = 0;
	while ((n = zstream_step(u, ZSTREAM_END, in, &pos, len, out, 1000)) > 0) {
		made += n;
		most = (size_t)n > most ? (size_t)n : most;
		steps++;
	}
	tap_ok(!n && made == MANY && most == 1000,
	       "%zu bytes are %zu MiB: they come in %zu steps, none larger than was asked for", len,
	       made >> 20, steps);
	tap_ok(rss_kib() - before < 16 << 10, "and take %ld KiB", rss_kib() - before);
	zstream_free(u);
}

int main(void)
{
	make_text();
	pieces();
	flushes();
	truncated();
	damaged();
	strange();
	bomb();
	return tap_done();
}
