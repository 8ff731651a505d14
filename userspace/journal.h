/* SPDX-License-Identifier: GPL-2.0 */
/*
 * journal.h - one small file per move and side, so that a new agent knows
 */
#ifndef TELEPAGE_JOURNAL_H
#define TELEPAGE_JOURNAL_H

#include "agent.h"

/*
 * Makes the directory if need be and takes it for this process alone, for as long as
 * it lives: 0, -EAGAIN when another agent has it, or another negative errno.
 */
int journal_open(void);
/* @side: "src" or "dst"; on disk when it returns 0; @obj is borrowed */
int journal_write(const char *side, const char *move, json_t *obj);
void journal_remove(const char *side, const char *move);
/* @fn gets each record of that side; it may remove it */
void journal_each(const char *side, void (*fn)(const char *move, json_t *obj));

#endif /* TELEPAGE_JOURNAL_H */
