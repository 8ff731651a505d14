/* SPDX-License-Identifier: GPL-2.0 */
/*
 * failnth.h - memory that runs out at a chosen moment
 *
 * Three parts: failnth_inject.c lets the nth allocation or user copy of this thread
 * fail; failnth_file.c does so to everything that is done to a region as a file, and
 * to loading the module; failnth.c to the operations of the netlink interface.
 */
#ifndef TELEPAGE_FAILNTH_H
#define TELEPAGE_FAILNTH_H

#include "nlfuzz.h"

#define FN_MOST		1000	/* attempts of one operation */

/* false: this kernel cannot */
bool fn_set_up(void);
/* From here the nth that can fail fails. @what ends the program if it does not end. */
void fn_start(const char *what, unsigned int nth);
/* Up to here: has it come to that? */
bool fn_end(void);
/* how many more it would have taken; only behind fn_end() */
unsigned int fn_left(void);

/* Is this what somebody is told when memory, or a copy, fails? */
bool fn_honest(int err);

/* what there is, but for the witness of nlfuzz_world.c: the same text, the same state */
const char *fn_state(void);

/* one operation after all its attempts */
struct fn_count {
	unsigned int failures, refused, taken, unknown;
	unsigned int strange, changed, wrong, undone;
	bool ended;		/* at last it went through */
};

/* results come from one file, which counts them */
bool fn_ok(bool good, const char *what);
__attribute__((format(printf, 1, 2)))
void fn_note(const char *fmt, ...);
/* is this what is to be tried? */
bool fn_wanted(const char *name);
/* asserts that all of it is as it should be, and that something did fail */
void fn_report(const char *what, const struct fn_count *c, bool can_fail);

void fn_test_files(void);
void fn_test_load(const char *module);

#endif /* TELEPAGE_FAILNTH_H */
