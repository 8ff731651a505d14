/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fmt.h - numbers and names for people
 *
 * All write a NUL-terminated string into @buf (cut when it does not fit) and
 * return @buf, so that they can stand in an argument list:
 *
 *	printf("%s of %s\n", tp_fmt_size(a, sizeof(a), done), tp_fmt_size(b, …));
 *
 * TP_FMT_LEN is room enough for any of the numbers.
 */
#ifndef TELEPAGE_FMT_H
#define TELEPAGE_FMT_H

#include <stddef.h>
#include <stdint.h>

#define TP_FMT_LEN	32

/* "0 B", "4 KiB", "1.5 GiB": whole numbers when they are exact */
char *tp_fmt_size(char *buf, size_t len, uint64_t bytes);
/* "118 MiB/s" */
char *tp_fmt_rate(char *buf, size_t len, double bytes_per_s);
/* "1,234,567" */
char *tp_fmt_count(char *buf, size_t len, uint64_t n);
/* "850 ns", "12.3 us", "4.56 ms", "1.20 s", then as tp_fmt_left */
char *tp_fmt_ns(char *buf, size_t len, uint64_t ns);
/* "0:04", "12:30", "1:02:03", "3 d 4 h"; negative: "--:--" */
char *tp_fmt_left(char *buf, size_t len, int64_t seconds);
/* "52%": never 100 % before all of it is there, never 0 % of nothing */
char *tp_fmt_percent(char *buf, size_t len, uint64_t done, uint64_t total);

/* @s with everything but printable ASCII, and the backslash, as \xNN */
char *tp_escape(char *buf, size_t len, const char *s);

#endif /* TELEPAGE_FMT_H */
