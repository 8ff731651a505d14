// SPDX-License-Identifier: GPL-2.0
/*
 * zstream.c - a byte stream, packed as one zstd frame or unpacked from it
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <zstd.h>

#include "agent.h"
#include "zstream.h"

#define LEVEL		1		/* the VM stands still meanwhile */

/* ZSTD_MAGICNUMBER, as it is sent */
static const uint8_t magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };

struct zstream {
	ZSTD_CCtx *pack;		/* one of them is NULL */
	ZSTD_DCtx *unpack;
	uint64_t taken;
	bool holds;			/* there may be more than was made */
	bool ended;			/* the frame is whole */
	const char *error;
};

static struct zstream *zstream_new(void)
{
	return xcalloc(1, sizeof(struct zstream));
}

/* as xcalloc(): who has no memory for that has none for anything */
static void *must(void *ctx)
{
	if (!ctx) {
		note("out of memory");
		abort();
	}
	return ctx;
}

struct zstream *zstream_pack(void)
{
	struct zstream *z = zstream_new();

	z->pack = must(ZSTD_createCCtx());
	/* none of them can be refused: all are within the library's bounds */
	ZSTD_CCtx_setParameter(z->pack, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(z->pack, ZSTD_c_windowLog, ZSTREAM_WINDOW_LOG);
	ZSTD_CCtx_setParameter(z->pack, ZSTD_c_checksumFlag, 1);
	return z;
}

struct zstream *zstream_unpack(void)
{
	struct zstream *z = zstream_new();

	z->unpack = must(ZSTD_createDCtx());
	ZSTD_DCtx_setParameter(z->unpack, ZSTD_d_windowLogMax, ZSTREAM_WINDOW_LOG);
	return z;
}

void zstream_free(struct zstream *z)
{
	if (!z)
		return;
	ZSTD_freeCCtx(z->pack);
	ZSTD_freeDCtx(z->unpack);
	free(z);
}

bool zstream_holds(const struct zstream *z)
{
	return z->holds;
}

const char *zstream_error(const struct zstream *z)
{
	return z->error;
}

static ssize_t broken(struct zstream *z, const char *why)
{
	z->error = why;
	z->holds = false;
	return -EBADMSG;
}

static ssize_t pack(struct zstream *z, enum zstream_op op, ZSTD_inBuffer *in, ZSTD_outBuffer *out)
{
	static const ZSTD_EndDirective directive[] = {
		[ZSTREAM_GO] = ZSTD_e_continue,
		[ZSTREAM_FLUSH] = ZSTD_e_flush,
		[ZSTREAM_END] = ZSTD_e_end,
	};
	size_t left;

	if (z->ended)
		return 0;
	/* what has come since the last flush is in there */
	z->holds |= in->pos < in->size || op == ZSTREAM_END;
	if (!z->holds)
		return 0;
	do {
		left = ZSTD_compressStream2(z->pack, out, in, directive[op]);
		if (ZSTD_isError(left))
			return broken(z, ZSTD_getErrorName(left));
		/* of `continue` it is a hint only: that ends when all is taken */
	} while (out->pos < out->size && (op == ZSTREAM_GO ? in->pos < in->size : left > 0));
	if (op != ZSTREAM_GO && !left) {
		z->holds = false;
		z->ended = op == ZSTREAM_END;
	}
	return out->pos;
}

/* The library also reads formats of its past, in which it minds no limit of the window. */
static bool is_magic(const struct zstream *z, const ZSTD_inBuffer *in)
{
	const uint8_t *bytes = in->src;
	size_t i;

	for (i = in->pos; i < in->size && z->taken + (i - in->pos) < sizeof(magic); i++)
		if (bytes[i] != magic[z->taken + (i - in->pos)])
			return false;
	return true;
}

static ssize_t unpack(struct zstream *z, enum zstream_op op, ZSTD_inBuffer *in, ZSTD_outBuffer *out)
{
	size_t left;

	if (!is_magic(z, in))
		return broken(z, "it is no zstd stream");
	while (!z->ended && out->pos < out->size && (in->pos < in->size || z->holds)) {
		size_t before = in->pos;

		left = ZSTD_decompressStream(z->unpack, out, in);
		if (ZSTD_isError(left))
			return broken(z, ZSTD_getErrorName(left));
		z->taken += in->pos - before;
		z->ended = !left;
		/* room is left: then all that it had was made */
		z->holds = !z->ended && out->pos == out->size;
	}
	if (z->ended && in->pos < in->size)
		return broken(z, "it goes on behind its end");
	if (op == ZSTREAM_END && !z->ended && !z->holds && in->pos == in->size)
		return broken(z, "it ends too early");
	return out->pos;
}

ssize_t zstream_step(struct zstream *z, enum zstream_op op, const void *in, size_t *pos, size_t len,
		     void *out, size_t room)
{
	ZSTD_inBuffer from = { .src = in, .size = len, .pos = *pos };
	ZSTD_outBuffer to = { .dst = out, .size = room };
	ssize_t n;

	if (z->error)
		return -EBADMSG;
	n = z->pack ? pack(z, op, &from, &to) : unpack(z, op, &from, &to);
	*pos = from.pos;
	return n;
}
