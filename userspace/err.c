// SPDX-License-Identifier: GPL-2.0
/*
 * err.c - errors: one line each, what was tried, why it failed, what to do
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fmt.h"

/* our own text is short; what it quotes (paths, the kernel's words) may not be */
#define LINE_MAX_LEN	2048

static int fail_line(const char *prefix, const char *line, const char *hint)
{
	char clean[2 * LINE_MAX_LEN];

	tp_escape(clean, sizeof(clean), line);
	if (hint)
		fprintf(stderr, "%s: %s (%s)\n", prefix, clean, hint);
	else
		fprintf(stderr, "%s: %s\n", prefix, clean);
	return TP_FAILED;
}

int tp_fail(const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return fail_line("telepage", line, NULL);
}

int tp_usage(const char *argv0, const char *fmt, ...)
{
	char line[LINE_MAX_LEN], hint[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(hint, sizeof(hint), "see %s --help", argv0);
	fail_line(argv0, line, hint);
	return TP_USAGE;
}

/* what to do about an errno wherever it comes up */
static const char *usual_hint(const struct tp_nl *nl, int err)
{
	switch (-err) {
	case EPERM:
	case EACCES:
		return "it takes CAP_NET_ADMIN: run it as root";
	case ENOENT:
		return nl ? "telepage list shows what there is" :
			    "modprobe telepage, or insmod telepage.ko";
	case EOPNOTSUPP:
		return "the loaded module is of another version than this tool";
	default:
		return NULL;
	}
}

int tp_fail_nl(const struct tp_nl *nl, int err, const char *hint, const char *fmt, ...)
{
	char what[LINE_MAX_LEN / 2], line[LINE_MAX_LEN];
	const char *words = tp_nl_error(nl);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%s: %s", what, *words ? words : strerror(-err));
	return fail_line("telepage", line, hint ? hint : usual_hint(nl, err));
}

int tp_open(struct tp_nl **nl, const char *what)
{
	int err = tp_nl_open(nl);

	return err ? tp_fail_nl(NULL, err, NULL, "%s", what) : TP_OK;
}
