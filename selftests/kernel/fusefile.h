/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fusefile.h - a file of a filesystem that fails, or does not answer
 */
#ifndef TK_FUSEFILE_H
#define TK_FUSEFILE_H

#include "tk.h"

enum fusefile_mood { FUSEFILE_WELL, FUSEFILE_FAILS, FUSEFILE_SILENT };

/* mounted on the file @path, which is made: @pages pages of @seed; read-only */
void fusefile_open(const char *path, uint32_t seed, unsigned long pages);
/*
 * FAILS: reads that touch a page @which says yes of end with EIO. SILENT: none ends, until there
 * is another mood.
 */
void fusefile_set(enum fusefile_mood mood, bool (*which)(unsigned long page));
/* what it has from now on, also for who waits */
void fusefile_rewrite(uint32_t seed);
/* how many reads wait for an answer */
unsigned int fusefile_waiting(void);
/* false: somebody still has it open */
bool fusefile_close(void);

#endif /* TK_FUSEFILE_H */
