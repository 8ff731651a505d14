/* SPDX-License-Identifier: GPL-2.0 */
/*
 * guestconsole.h - what the first process of a test guest does as such
 *
 * It has the console to itself, reads its parameters on the kernel's command line, and
 * powers the guest off when it cannot go on.
 */
#ifndef TELEPAGE_GUESTCONSOLE_H
#define TELEPAGE_GUESTCONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* a parameter that is a number */
struct guest_number {
	const char *name;		/* with its "=" */
	unsigned int *value, min, max;
};

uint64_t now_us(void);
uint64_t now_ms(void);

/* console, /proc; only the main thread writes to the console */
void set_up_guest(void);
/* a line */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* says "guestload: WHAT: errno's words", which tests look for */
void give_up(const char *what) __attribute__((noreturn));
void power_off(void) __attribute__((noreturn));

/* The parameters: those in @numbers are set; @other, if any, is called with the rest. */
void options(const struct guest_number *numbers, size_t count, void (*other)(const char *word));

#endif /* TELEPAGE_GUESTCONSOLE_H */
