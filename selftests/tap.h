/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tap.h - test results as TAP, exit status as kselftests have it
 *
 *	tap_plan(2);			or nothing: tap_done() counts
 *	tap_ok(1 + 1 == 2, "arithmetic");
 *	tap_skip("moon phase", "no moon here");
 *	return tap_done();
 *
 * Exit status: 0 all good, 1 something failed, 4 everything was skipped.
 */
#ifndef TELEPAGE_TAP_H
#define TELEPAGE_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { TAP_PASS = 0, TAP_FAIL = 1, TAP_SKIP = 4 };

static struct {
	unsigned int planned, nr, failed, skipped;
	bool started;
} tap;

static inline void tap_start(void)
{
	if (tap.started)
		return;
	tap.started = true;
	/* a crash must not take results with it that were printed already */
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13");
}

static inline void tap_plan(unsigned int nr)
{
	tap_start();
	tap.planned = nr;
	printf("1..%u\n", nr);
}

/* a line for people */
__attribute__((format(printf, 1, 2), unused))
static void tap_note(const char *fmt, ...)
{
	va_list ap;

	tap_start();
	fputs("# ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* returns @good, so that what depends on it can be left out */
__attribute__((format(printf, 2, 3), unused))
static bool tap_ok(bool good, const char *fmt, ...)
{
	va_list ap;

	tap_start();
	tap.nr++;
	tap.failed += !good;
	printf("%s %u ", good ? "ok" : "not ok", tap.nr);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	return good;
}

/* the same for two strings, showing them when they differ */
__attribute__((unused))
static bool tap_str(const char *got, const char *want, const char *what)
{
	bool good = got && !strcmp(got, want);

	tap_ok(good, "%s", what);
	if (!good)
		tap_note("got \"%s\", want \"%s\"", got ? got : "(null)", want);
	return good;
}

__attribute__((unused))
static void tap_skip(const char *what, const char *why)
{
	tap_start();
	tap.nr++;
	tap.skipped++;
	printf("ok %u %s # SKIP %s\n", tap.nr, what, why);
}

/* prints the plan if there was none; the exit status */
static inline int tap_done(void)
{
	tap_start();
	if (!tap.planned)
		printf("1..%u\n", tap.nr);
	printf("# pass:%u fail:%u skip:%u\n", tap.nr - tap.failed - tap.skipped, tap.failed,
	       tap.skipped);
	if (tap.failed || (tap.planned && tap.planned != tap.nr))
		return TAP_FAIL;
	return tap.nr && tap.skipped == tap.nr ? TAP_SKIP : TAP_PASS;
}

#endif /* TELEPAGE_TAP_H */
