// SPDX-License-Identifier: GPL-2.0
/* what people write on a command line: parse.c */
#include <string.h>

#include "parse.h"
#include "tap.h"

static void sizes(void)
{
	static const struct {
		const char *s;
		uint64_t want;
	} good[] = {
		{ "0", 0 }, { "4096", 4096 }, { "4096B", 4096 }, { "64K", 65536 }, { "64k", 65536 },
		{ "64KB", 65536 }, { "64KiB", 65536 }, { "1.5G", 1610612736 }, { "2g", 2147483648 },
		{ "0.5M", 524288 }, { "1T", 1099511627776 }, { "15E", 15ULL << 60 },
		{ "18446744073709551615", UINT64_MAX }, { "16383P", 16383ULL << 50 },
	};
	static const char *const bad[] = {
		"", " 1", "1 ", "-1", "+1", "K", "1X", "1KK", "1Ki", "1.K", ".5K", "1.5", "1.5B",
		"0x10", "16E", "16384P", "18446744073709551616", "1e9", "1.0000000G", "4K\n",
		"4KiBs", "15.9999999E",
	};
	uint64_t v;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		tap_ok(tp_parse_size(good[i].s, &v) && v == good[i].want, "size %s", good[i].s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		v = 42;
		tap_ok(!tp_parse_size(bad[i], &v) && v == 42, "no size %zu", i);
	}
}

static void addresses(void)
{
	static const char *const bad[] = {
		"", ",", "0x1000", "0x1000,", ",4K", "0x,4K", "x,4K", "1000 ,4K", "0x1000, 4K",
		"-1,4K", "0x10000000000000000,4K", "0x1g,4K", "7f00,4K", "0x1000,4K,1",
		"0x00000000000000000000000000000000001,1",
	};
	uint64_t a = 0, l = 0;

	tap_ok(tp_parse_addr("0x7f0000001000", &a) && a == 0x7f0000001000, "an address");
	tap_ok(tp_parse_addr("0XFFFFffffFFFFffff", &a) && a == UINT64_MAX, "the last one");
	tap_ok(tp_parse_addr("64K", &a) && a == 65536, "one with a unit");
	tap_ok(tp_parse_range("0x7f0000001000,1.5G", &a, &l) && a == 0x7f0000001000 &&
	       l == 1610612736, "a range");
	tap_ok(tp_parse_range("4096,0x1000", &a, &l) && a == 4096 && l == 4096, "another");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		a = l = 42;
		tap_ok(!tp_parse_range(bad[i], &a, &l) && a == 42 && l == 42, "no range %zu", i);
	}
}

static void numbers(void)
{
	uint64_t u;
	uint32_t w;
	double d;

	tap_ok(tp_parse_u64("18446744073709551615", &u) && u == UINT64_MAX, "largest u64");
	tap_ok(!tp_parse_u64("18446744073709551616", &u), "over the largest u64");
	tap_ok(tp_parse_u32("4294967295", &w) && w == UINT32_MAX, "largest u32");
	tap_ok(!tp_parse_u32("4294967296", &w), "over the largest u32");
	tap_ok(!tp_parse_u32("", &w) && !tp_parse_u32("-1", &w) && !tp_parse_u32("1a", &w),
	       "no numbers");
	tap_ok(tp_parse_seconds("0.5", &d) && d > 0.49 && d < 0.51, "half a second");
	tap_ok(tp_parse_seconds(".5", &d) && tp_parse_seconds("10", &d), "seconds");
	tap_ok(!tp_parse_seconds("", &d) && !tp_parse_seconds(".", &d) &&
	       !tp_parse_seconds("1.2.3", &d) && !tp_parse_seconds("inf", &d) &&
	       !tp_parse_seconds("1e9", &d) && !tp_parse_seconds("99999999999", &d) &&
	       !tp_parse_seconds("-1", &d) && !tp_parse_seconds("0x1", &d), "no seconds");
	tap_ok(tp_parse_mode("0660", &w) && w == 0660 && tp_parse_mode("600", &w) && w == 0600,
	       "modes");
	tap_ok(!tp_parse_mode("0888", &w) && !tp_parse_mode("1777", &w) && !tp_parse_mode("", &w) &&
	       !tp_parse_mode("rw", &w), "no modes");
}

static void owners(void)
{
	uint32_t uid = 42, gid = 42;

	tap_ok(tp_parse_owner("0", &uid, &gid) && uid == 0 && gid == 0, "uid of root");
	tap_ok(tp_parse_owner("root", &uid, &gid) && uid == 0 && gid == 0, "root by name");
	tap_ok(tp_parse_owner("123456:7", &uid, &gid) && uid == 123456 && gid == 7, "numbers");
	tap_ok(tp_parse_owner("123456", &uid, &gid) && gid == 0, "a uid that is nobody's");
	tap_ok(tp_parse_owner("root:root", &uid, &gid) && gid == 0, "names");
	uid = gid = 42;
	tap_ok(!tp_parse_owner("", &uid, &gid) && !tp_parse_owner(":", &uid, &gid) &&
	       !tp_parse_owner("0:", &uid, &gid) && !tp_parse_owner(":0", &uid, &gid) &&
	       !tp_parse_owner("no-such-user", &uid, &gid) &&
	       !tp_parse_owner("0:no-such-group", &uid, &gid) &&
	       !tp_parse_owner("4294967295", &uid, &gid) &&
	       !tp_parse_owner("4294967296", &uid, &gid) && uid == 42 && gid == 42, "no owners");
}

static void host_ports(void)
{
	static const struct {
		const char *s, *host, *port;
		bool optional;
	} good[] = {
		{ "h:1", "h", "1", false }, { "1.2.3.4:65535", "1.2.3.4", "65535", false },
		{ "[::1]:22", "::1", "22", false }, { "a.b-c:0", "a.b-c", "0", false },
		{ "7000", "", "7000", true }, { ":7000", "", "7000", true },
		{ "[fe80::1%eth0]:7", "fe80::1%eth0", "7", true },
	};
	static const char *const bad[] = {
		"", "h", "h:", "h:x", "h:65536", "h:-1", "::1", "::1:22", "[::1]", "[::1]22",
		"[]:22", "[::1:22", "7000", ":7000", "h:1 ", "h:1:2",
	};
	char host[64], port[8];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		tap_ok(tp_parse_host_port(good[i].s, good[i].optional, host, sizeof(host), port,
					  sizeof(port)) &&
		       !strcmp(host, good[i].host) && !strcmp(port, good[i].port),
		       "host and port %s", good[i].s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(!tp_parse_host_port(bad[i], false, host, sizeof(host), port, sizeof(port)),
		       "no host and port: '%s'", bad[i]);
	tap_ok(!tp_parse_host_port("longer-than-eight:1", false, host, 8, port, sizeof(port)),
	       "a host that does not fit");
}

static void names(void)
{
	char longest[66];

	tap_ok(tp_name_ok("vm0") && tp_name_ok("a.b_c-d~!$") && tp_name_ok("x"), "names");
	tap_ok(!tp_name_ok("") && !tp_name_ok(".") && !tp_name_ok("..") && !tp_name_ok(".x") &&
	       !tp_name_ok("a/b") && !tp_name_ok("a b") && !tp_name_ok("a\n") &&
	       !tp_name_ok("\x7f") && !tp_name_ok("\xc3\xa4"), "no names");
	memset(longest, 'a', 64);
	longest[64] = '\0';
	tap_ok(!tp_name_ok(longest), "64 characters are too many");
	longest[63] = '\0';
	tap_ok(tp_name_ok(longest), "63 are not");
}

int main(void)
{
	sizes();
	addresses();
	numbers();
	owners();
	host_ports();
	names();
	return tap_done();
}
