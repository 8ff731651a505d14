// SPDX-License-Identifier: GPL-2.0
/*
 * fmt.c - numbers and names for people
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fmt.h"

static const char *const size_units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

#define NR_UNITS	(sizeof(size_units) / sizeof(size_units[0]))

/* three digits or so: 9.9, 118, 1023; no unit is ever shown 1024 times */
static char *fmt_scaled(char *buf, size_t len, double v, const char *suffix)
{
	size_t u = 0;

	while (u + 1 < NR_UNITS && v >= (u ? 1023.5 : 1024.0)) {
		v /= 1024;
		u++;
	}
	snprintf(buf, len, "%.*f %s%s", u && v < 99.95 ? 1 : 0, v, size_units[u], suffix);
	return buf;
}

char *tp_fmt_size(char *buf, size_t len, uint64_t bytes)
{
	uint64_t v = bytes;
	size_t u = 0;

	while (v && !(v % 1024) && u + 1 < NR_UNITS) {
		v /= 1024;
		u++;
	}
	if (v >= 1024)
		return fmt_scaled(buf, len, bytes, "");
	snprintf(buf, len, "%" PRIu64 " %s", v, size_units[u]);
	return buf;
}

char *tp_fmt_rate(char *buf, size_t len, double bytes_per_s)
{
	return fmt_scaled(buf, len, bytes_per_s > 0 ? bytes_per_s : 0, "/s");
}

char *tp_fmt_count(char *buf, size_t len, uint64_t n)
{
	char digits[24];
	size_t nr = snprintf(digits, sizeof(digits), "%" PRIu64, n), out = 0;

	for (size_t i = 0; i < nr && out + 2 < len; i++) {
		if (i && !((nr - i) % 3))
			buf[out++] = ',';
		buf[out++] = digits[i];
	}
	if (len)
		buf[out < len ? out : len - 1] = '\0';
	return buf;
}

char *tp_fmt_ns(char *buf, size_t len, uint64_t ns)
{
	static const struct {
		uint64_t ns;
		const char *unit;
	} units[] = { { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "us" } };
	uint64_t hundredths, whole;

	if (ns < 1000) {
		snprintf(buf, len, "%" PRIu64 " ns", ns);
		return buf;
	}
	if (ns >= 100ULL * 1000000000)
		return tp_fmt_left(buf, len, ns / 1000000000);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ns < units[i].ns)
			continue;
		/* cut, not rounded: 999.999 us must not become 1000 us */
		whole = ns / units[i].ns;
		hundredths = ns % units[i].ns * 100 / units[i].ns;
		if (whole >= 100)
			snprintf(buf, len, "%" PRIu64 " %s", whole, units[i].unit);
		else if (whole >= 10)
			snprintf(buf, len, "%" PRIu64 ".%" PRIu64 " %s", whole, hundredths / 10,
				 units[i].unit);
		else
			snprintf(buf, len, "%" PRIu64 ".%02" PRIu64 " %s", whole, hundredths,
				 units[i].unit);
		break;
	}
	return buf;
}

char *tp_fmt_left(char *buf, size_t len, int64_t s)
{
	if (s < 0)
		snprintf(buf, len, "--:--");
	else if (s < 3600)
		snprintf(buf, len, "%" PRId64 ":%02" PRId64, s / 60, s % 60);
	else if (s < 100 * 3600)
		snprintf(buf, len, "%" PRId64 ":%02" PRId64 ":%02" PRId64, s / 3600,
			 s / 60 % 60, s % 60);
	else
		snprintf(buf, len, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
	return buf;
}

char *tp_fmt_percent(char *buf, size_t len, uint64_t done, uint64_t total)
{
	unsigned int percent = 100;

	if (done < total)
		percent = (unsigned int)((double)done / total * 100);
	if (done < total && percent > 99)
		percent = 99;
	snprintf(buf, len, "%u%%", percent);
	return buf;
}

char *tp_escape(char *buf, size_t len, const char *s)
{
	size_t out = 0;

	if (!len)
		return buf;
	for (; *s; s++) {
		unsigned char c = *s;

		if (c >= ' ' && c <= '~' && c != '\\') {
			if (out + 1 >= len)
				break;
			buf[out++] = c;
		} else {
			if (out + 4 >= len)
				break;
			out += snprintf(buf + out, len - out, "\\x%02x", c);
		}
	}
	buf[out] = '\0';
	return buf;
}
