// SPDX-License-Identifier: GPL-2.0
/* numbers and names for people: fmt.c, table.c */
#include <stdlib.h>
#include <string.h>

#include "fmt.h"
#include "table.h"
#include "tap.h"

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void sizes(void)
{
	static const struct {
		uint64_t bytes;
		const char *want;
	} cases[] = {
		{ 0, "0 B" }, { 1, "1 B" }, { 1023, "1023 B" }, { 1 * KIB, "1 KiB" },
		{ 4 * KIB, "4 KiB" }, { 1025, "1.0 KiB" }, { 1536, "1.5 KiB" },
		{ 1023 * KIB, "1023 KiB" }, { MIB - 1, "1.0 MiB" }, { MIB, "1 MiB" },
		{ 100 * MIB + 1, "100 MiB" }, { 99 * MIB + 999 * KIB, "100 MiB" },
		{ GIB + GIB / 2, "1.5 GiB" }, { 1536 * MIB, "1.5 GiB" }, { 2 * GIB, "2 GiB" },
		{ 1024 * GIB, "1 TiB" }, { UINT64_MAX, "16.0 EiB" },
	};
	char buf[TP_FMT_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_str(tp_fmt_size(buf, sizeof(buf), cases[i].bytes), cases[i].want, "size");
	tap_str(tp_fmt_rate(buf, sizeof(buf), 118.0 * MIB), "118 MiB/s", "rate");
	tap_str(tp_fmt_rate(buf, sizeof(buf), 0), "0 B/s", "no rate");
	tap_str(tp_fmt_rate(buf, sizeof(buf), -1), "0 B/s", "negative rate");
	/* every power of two, and its neighbours, fits and never shows 1024 of a unit */
	for (int i = 0; i < 64; i++)
		for (int d = -1; d <= 1; d++) {
			tp_fmt_size(buf, sizeof(buf), (1ULL << i) + d);
			if (!strncmp(buf, "1024", 4))
				tap_ok(false, "2^%d%+d is %s", i, d, buf);
		}
}

static void counts(void)
{
	char buf[TP_FMT_LEN], tiny[4];

	tap_str(tp_fmt_count(buf, sizeof(buf), 0), "0", "count");
	tap_str(tp_fmt_count(buf, sizeof(buf), 999), "999", "count");
	tap_str(tp_fmt_count(buf, sizeof(buf), 1000), "1,000", "count");
	tap_str(tp_fmt_count(buf, sizeof(buf), 1234567), "1,234,567", "count");
	tap_str(tp_fmt_count(buf, sizeof(buf), UINT64_MAX), "18,446,744,073,709,551,615", "count");
	tp_fmt_count(tiny, sizeof(tiny), 1234567);
	tap_ok(strlen(tiny) < sizeof(tiny), "count cut to the buffer");
}

static void times(void)
{
	static const struct {
		uint64_t ns;
		const char *want;
	} cases[] = {
		{ 0, "0 ns" }, { 999, "999 ns" }, { 1000, "1.00 us" }, { 12345, "12.3 us" },
		{ 999999, "999 us" }, { 4560000, "4.56 ms" }, { 1200000000, "1.20 s" },
		{ 99999999999, "99.9 s" }, { 100000000000, "1:40" },
	};
	char buf[TP_FMT_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_str(tp_fmt_ns(buf, sizeof(buf), cases[i].ns), cases[i].want, "time");
	tap_str(tp_fmt_left(buf, sizeof(buf), -1), "--:--", "left: not known");
	tap_str(tp_fmt_left(buf, sizeof(buf), 4), "0:04", "left");
	tap_str(tp_fmt_left(buf, sizeof(buf), 3723), "1:02:03", "left, hours");
	tap_str(tp_fmt_left(buf, sizeof(buf), 5 * 86400 + 3 * 3600), "5 d 3 h", "left, days");
}

static void percents(void)
{
	char buf[TP_FMT_LEN];

	tap_str(tp_fmt_percent(buf, sizeof(buf), 0, 0), "100%", "all of nothing");
	tap_str(tp_fmt_percent(buf, sizeof(buf), 0, 10), "0%", "none");
	tap_str(tp_fmt_percent(buf, sizeof(buf), 5, 10), "50%", "half");
	tap_str(tp_fmt_percent(buf, sizeof(buf), 999999, 1000000), "99%", "never 100 too early");
	tap_str(tp_fmt_percent(buf, sizeof(buf), UINT64_MAX - 1, UINT64_MAX), "99%", "huge");
}

static void escapes(void)
{
	char buf[32], tiny[6];

	tap_str(tp_escape(buf, sizeof(buf), "vm0"), "vm0", "plain");
	tap_str(tp_escape(buf, sizeof(buf), "a\033[2Jb\n"), "a\\x1b[2Jb\\x0a", "control codes");
	tap_str(tp_escape(buf, sizeof(buf), "\xc3\xa4\\"), "\\xc3\\xa4\\x5c", "high and backslash");
	tap_str(tp_escape(tiny, sizeof(tiny), "abc\ndef"), "abc", "no half of an escape");
	tap_str(tp_escape(tiny, sizeof(tiny), "abcdefgh"), "abcde", "cut");
}

static void tables(void)
{
	struct tp_table t = { .columns = 3, .right = 1 << 1 };
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	tp_table_row(&t, (const char *[]){ "NAME", "N", "REST" });
	tp_table_row(&t, (const char *[]){ "a\tb", "12345", NULL });
	for (int i = 0; i < 40; i++)
		tp_table_row(&t, (const char *[]){ "x", "1", "end" });
	tp_table_print(&t, f);
	fclose(f);
	tap_ok(!strncmp(out, "NAME        N  REST\na\\x09b  12345  \nx           1  end\n", 55),
	       "columns line up");
	free(out);
}

/* a path, or why a file cannot be had, is of no use without its end */
static void long_cells(void)
{
	struct tp_table cut = { .columns = 2 }, whole = { .columns = 2, .whole = true };
	char text[301], want[1024], *out = NULL;
	size_t len;
	FILE *f;

	memset(text, 'x', 300);
	text[0] = '\n';
	text[300] = '\0';
	f = open_memstream(&out, &len);
	tp_table_row(&cut, (const char *[]){ "a", text });
	tp_table_print(&cut, f);
	fclose(f);
	tap_ok(len == 1 + 2 + 80 + 1, "a long text is cut");
	free(out);
	f = open_memstream(&out, &len);
	tp_table_row(&whole, (const char *[]){ "NAME", "REST" });
	tp_table_row(&whole, (const char *[]){ "a", text });
	tp_table_print(&whole, f);
	fclose(f);
	snprintf(want, sizeof(want), "NAME  REST\na     \\x0a%s\n", text + 1);
	tap_str(out, want, "unless the table is to be whole, then no line is longer for it");
	free(out);
}

int main(void)
{
	sizes();
	counts();
	times();
	percents();
	escapes();
	tables();
	long_cells();
	return tap_done();
}
