// SPDX-License-Identifier: GPL-2.0
/*
 * codec.c - packing and unpacking pages with the kernel's compressors
 *
 * LZ4 for single pages that a task waits for, zstd for what is pushed, and LZ4 there
 * too while the CPU and not the network is what limits it (push.c). Packing is
 * done where the page is sent, on the CPU of that thread: with more bulk lanes more
 * CPUs pack.
 */
#include <linux/highmem.h>
#include <linux/lz4.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <linux/zstd.h>
#include "codec.h"
#include "telepage.h"

/* Packed data must save at least an eighth, or it is not worth unpacking. */
static size_t tp_pack_limit(size_t len)
{
	return len - len / 8;
}

void tp_packer_init(struct tp_packer *p)
{
	mutex_init(&p->lock);
}

void tp_packer_free(struct tp_packer *p)
{
	kvfree(p->work);
	kvfree(p->in);
	kvfree(p->out);
}

static int tp_packer_prepare(struct tp_packer *p, size_t work_size, size_t size)
{
	if (p->work_size < work_size) {
		kvfree(p->work);
		p->work_size = 0;
		p->work = kvmalloc(work_size, GFP_KERNEL_ACCOUNT);
		if (!p->work)
			return -ENOMEM;
		p->work_size = work_size;
	}
	if (p->size < size) {
		kvfree(p->in);
		kvfree(p->out);
		p->size = 0;
		p->in = kvmalloc(size, GFP_KERNEL_ACCOUNT);
		p->out = kvmalloc(size, GFP_KERNEL_ACCOUNT);
		if (!p->in || !p->out)
			return -ENOMEM;
		p->size = size;
	}
	return 0;
}

static size_t tp_pack_lz4(struct tp_packer *p, size_t len)
{
	int n;

	if (tp_packer_prepare(p, LZ4_MEM_COMPRESS, len))
		return 0;
	n = LZ4_compress_default(p->in, p->out, len, tp_pack_limit(len), p->work);
	return max(n, 0);
}

static size_t tp_pack_zstd(struct tp_packer *p, int level, size_t len)
{
	zstd_parameters params = zstd_get_params(level, len);
	size_t n = zstd_cctx_workspace_bound(&params.cParams);
	zstd_cctx *ctx;

	if (tp_packer_prepare(p, n, len))
		return 0;
	ctx = zstd_init_cctx(p->work, p->work_size);
	if (!ctx)
		return 0;
	n = zstd_compress_cctx(ctx, p->out, tp_pack_limit(len), p->in, len, &params);
	return zstd_is_error(n) ? 0 : n;
}

/**
 * tp_pack - pack pages
 * @p: the lane's packer
 * @codec: TP_CODEC_LZ4 or TP_CODEC_ZSTD
 * @level: of zstd, TP_LEVEL_MIN to TP_LEVEL_MAX
 * @bv: the pages, whole
 * @nr: how many, at most TP_DATA_MAX
 *
 * Context: sleeps; under @p->lock, which keeps the result in @p->out.
 * Return: packed bytes, or 0: send the pages raw, for packing saves too little or
 * there is no memory for it.
 */
size_t tp_pack(struct tp_packer *p, enum tp_codec codec, int level, const struct bio_vec *bv,
	       unsigned int nr)
{
	size_t len = (size_t)nr * PAGE_SIZE;
	unsigned int i;

	lockdep_assert_held(&p->lock);
	/* the buffers, before the workspace is known: the codecs look again */
	if (tp_packer_prepare(p, 0, len))
		return 0;
	for (i = 0; i < nr; i++)
		memcpy_from_page(p->in + i * PAGE_SIZE, bv[i].bv_page, 0, PAGE_SIZE);
	if (codec == TP_CODEC_LZ4)
		return tp_pack_lz4(p, len);
	return tp_pack_zstd(p, level, len);
}

/**
 * tp_unpacker_prepare - get the memory for unpacking
 * @u: the lane's unpacker; afterwards @u->in takes TP_PAYLOAD_MAX bytes
 *
 * Context: sleeps; the receive thread.
 * Return: 0 or -ENOMEM.
 */
int tp_unpacker_prepare(struct tp_unpacker *u)
{
	if (u->out)
		return 0;
	if (!u->work) {
		u->work_size = zstd_dctx_workspace_bound();
		u->work = kvmalloc(u->work_size, GFP_KERNEL_ACCOUNT);
	}
	if (!u->in)
		u->in = kvmalloc(TP_PAYLOAD_MAX, GFP_KERNEL_ACCOUNT);
	if (u->work && u->in)
		u->out = kvmalloc(TP_PAYLOAD_MAX, GFP_KERNEL_ACCOUNT);
	return u->out ? 0 : -ENOMEM;
}

void tp_unpacker_free(struct tp_unpacker *u)
{
	kvfree(u->work);
	kvfree(u->in);
	kvfree(u->out);
}

/**
 * tp_unpack - unpack a message
 * @u: the lane's unpacker, prepared, the payload in @u->in
 * @codec: how it is packed
 * @len: bytes of payload
 * @out_len: bytes that must come out, at most TP_PAYLOAD_MAX
 *
 * The payload is the peer's: whatever it says, nothing is written behind @out_len.
 *
 * Context: sleeps not.
 * Return: 0, -EPROTO when something else comes out.
 */
int tp_unpack(struct tp_unpacker *u, enum tp_codec codec, size_t len, size_t out_len)
{
	zstd_dctx *ctx;
	size_t n;

	if (codec == TP_CODEC_LZ4) {
		int ret = LZ4_decompress_safe(u->in, u->out, len, out_len);

		return ret == out_len ? 0 : -EPROTO;
	}
	ctx = zstd_init_dctx(u->work, u->work_size);
	if (!ctx)
		return -EPROTO;
	n = zstd_decompress_dctx(ctx, u->out, out_len, u->in, len);
	return !zstd_is_error(n) && n == out_len ? 0 : -EPROTO;
}
