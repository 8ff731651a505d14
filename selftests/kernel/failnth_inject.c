// SPDX-License-Identifier: GPL-2.0
/*
 * failnth_inject.c - the nth allocation or user copy of this thread fails, see failnth.h
 *
 * The kernel counts for the task that has written to its fail-nth file, in task context
 * only: what interrupts, other tasks and kernel threads allocate does not fail.
 */
#include <stdio.h>

#include "failnth.h"

static int nth_file = -1;
static unsigned int left;

bool fn_set_up(void)
{
	static const struct {
		const char *path, *value;
	} knobs[] = {
		/* those that may sleep, too, of any size, and without a word each time */
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[96];
	unsigned int i;

	nth_file = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_file < 0)
		return false;
	for (i = 0; i < sizeof(knobs) / sizeof(*knobs); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", knobs[i].path);
		if (tk_write_file(path, knobs[i].value))
			return false;
	}
	tk_watch();
	return true;
}

void fn_start(const char *what, unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	tk_busy(what, nth);
	if (pwrite(nth_file, text, n, 0) != n)
		tk_die("fail-nth: %m");
}

bool fn_end(void)
{
	char text[16] = "";
	/* with one left it is this copy that fails */
	ssize_t n = pread(nth_file, text, sizeof(text) - 1, 0);

	left = n > 0 ? strtoul(text, NULL, 10) : 1;
	while (pwrite(nth_file, "0", 1, 0) != 1)
		;
	tk_busy(NULL, 0);
	return !left;
}

unsigned int fn_left(void)
{
	return left;
}

bool fn_honest(int err)
{
	/* EFAULT: a copy */
	return err == -ENOMEM || err == -ENOBUFS || err == -EFAULT;
}
