/* SPDX-License-Identifier: GPL-2.0 */
/*
 * codec.h - packing and unpacking pages with the kernel's compressors
 */
#ifndef TP_CODEC_H
#define TP_CODEC_H

#include <linux/bvec.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include "wire.h"

/**
 * struct tp_packer - what is needed to pack, one per lane
 *
 * Memory comes with the first use and stays until the lane goes: see
 * tp_lane_memory().
 */
struct tp_packer {
	struct mutex lock;	/* of all fields */
	void *work;		/* zstd's or LZ4's workspace */
	size_t work_size;
	u8 *in;			/* pages, side by side */
	u8 *out;
	size_t size;		/* of @in and of @out */
};

/**
 * struct tp_unpacker - what is needed to unpack, one per lane, for its receive
 * thread only
 */
struct tp_unpacker {
	void *work;
	size_t work_size;
	u8 *in;			/* the message's payload */
	u8 *out;		/* pages, side by side */
};

/* enum of the "compress" tunable, and the level */
enum tp_compress {
	TP_COMPRESS_OFF,
	TP_COMPRESS_AUTO,
	TP_COMPRESS_ON,
};

#define TP_LEVEL_MIN	1
#define TP_LEVEL_MAX	9

void tp_packer_init(struct tp_packer *p);
void tp_packer_free(struct tp_packer *p);
size_t tp_pack(struct tp_packer *p, enum tp_codec codec, int level, const struct bio_vec *bv,
	       unsigned int nr);
int tp_unpacker_prepare(struct tp_unpacker *u);
void tp_unpacker_free(struct tp_unpacker *u);
int tp_unpack(struct tp_unpacker *u, enum tp_codec codec, size_t len, size_t out_len);

#endif /* TP_CODEC_H */
