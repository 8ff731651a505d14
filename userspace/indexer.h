/* SPDX-License-Identifier: GPL-2.0 */
/*
 * indexer.h - indexes for the images of a store, in the background
 */
#ifndef TELEPAGE_INDEXER_H
#define TELEPAGE_INDEXER_H

#include <stdint.h>

/* @rate: bytes/s that it reads, 0: no limit. It goes on until it is stopped, or we die */
void indexer_start(const char *dir, uint64_t rate);
void indexer_stop(void);

#endif /* TELEPAGE_INDEXER_H */
