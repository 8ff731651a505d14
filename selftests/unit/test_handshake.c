// SPDX-License-Identifier: GPL-2.0
/* what VMMs say of their memory: handshake.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handshake.h"
#include "tap.h"

#define SIZE	(64ULL << 20)	/* of the region */

static struct tp_uffd_range r[TELEPAGE_RANGE_MAX];
static size_t nr;

static const char *parse(const char *json)
{
	const char *bad = handshake_parse(json, strlen(json), SIZE, r, &nr);

	return bad ? bad : "";
}

static void versions(void)
{
	tap_ok(!*parse("[{\"base_host_virt_addr\":139637976727552,\"size\":33554432,\"offset\":0,"
		       "\"page_size\":4096,\"page_size_kib\":4096},"
		       "{\"base_host_virt_addr\":139638010281984,\"size\":33554432,"
		       "\"offset\":33554432,\"page_size\":4096,\"page_size_kib\":4096}]") &&
	       nr == 2 && r[0].addr == 139637976727552 && r[1].addr == 139638010281984 &&
	       r[0].len == 33554432 && r[1].len == 33554432 && !r[0].offset &&
	       r[1].offset == 33554432 && r[0].page_size == 4096 && r[1].page_size == 4096,
	       "the newest: page_size in bytes");
	tap_ok(!*parse("[{\"base_host_virt_addr\":2097152,\"size\":2097152,\"offset\":0,"
		       "\"page_size\":2097152}]") && r[0].page_size == 2097152,
	       "huge pages");
	tap_ok(!*parse("[{\"base_host_virt_addr\":4194304,\"size\":2097152,\"offset\":0,"
		       "\"page_size_kib\":2097152}]") && r[0].page_size == 2097152,
	       "older: page_size_kib, which holds bytes");
	tap_ok(!*parse("[{\"base_host_virt_addr\":4194304,\"size\":8192,\"offset\":4096}]") &&
	       nr == 1 && r[0].page_size == 4096 && r[0].offset == 4096,
	       "oldest: no page size");
	tap_ok(!*parse(" [ {\"more\": {\"x\": [1]}, \"size\": 4096, \"offset\": 0,\n"
		       "\"base_host_virt_addr\": 4096} ]\n"), "spaces, other orders, more keys");
	tap_ok(!*parse("[{\"base_host_virt_addr\":8192,\"size\":67108864,\"offset\":0}]"),
	       "the whole region");
}

/* is refused, for a reason with @words */
static void bad(const char *json, const char *words)
{
	const char *said = parse(json);

	tap_ok(strstr(said, words) && !nr, "%s: \"%s\"", words, said);
}

#define RANGE(a, s, o) "{\"base_host_virt_addr\":" a ",\"size\":" s ",\"offset\":" o "}"

static void refused(void)
{
	char *many = malloc(1 << 16), *p = many;

	bad("[]", "no ranges");
	bad("[1]", "no JSON object");
	bad("[{}]", "no base_host_virt_addr");
	bad("[" RANGE("4096", "-4096", "0") "]", "no size");
	bad("[" RANGE("4096", "\"4096\"", "0") "]", "no size");
	bad("[" RANGE("4096", "4096", "0.5") "]", "no offset");
	bad("[" RANGE("4096", "4096", "null") "]", "no offset");
	bad("[" RANGE("4097", "4096", "0") "]", "page size");
	bad("[" RANGE("4096", "100", "0") "]", "page size");
	bad("[" RANGE("4096", "4096", "1") "]", "offset of a range");
	bad("[" RANGE("4096", "0", "0") "]", "empty");
	bad("[" RANGE("4096", "4096", "67108864") "]", "end of the region");
	bad("[" RANGE("4096", "67112960", "0") "]", "end of the region");
	bad("[" RANGE("4096", "8192", "67104768") "]", "end of the region");
	bad("[" RANGE("4096", "4096", "9223372036854771712") "]", "end of the region");
	bad("[" RANGE("9223372036854771712", "9223372036854771712", "4096") "]", "region");
	bad("[" RANGE("4096", "8192", "0") "," RANGE("8192", "8192", "8192") "]",
	    "overlap in the VMM");
	bad("[" RANGE("4096", "8192", "0") "," RANGE("40960", "8192", "4096") "]",
	    "overlap in the region");
	bad("[{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":0,\"page_size\":8192}]",
	    "other sizes");
	bad("[{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":0,\"page_size\":0}]",
	    "other sizes");
	bad("[{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":0,"
	    "\"page_size\":4294971392}]", "other sizes");
	bad("[{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":0,\"page_size\":true}]",
	    "page_size is no number");
	bad("[{\"base_host_virt_addr\":4096,\"size\":4096,\"offset\":0,\"page_size\":2097152}]",
	    "page size");

	p += sprintf(p, "[");
	for (int i = 0; i < 65; i++)
		p += sprintf(p, "%s" RANGE("%d", "4096", "%d"), i ? "," : "", (i + 1) * 8192,
			     i * 4096);
	sprintf(p, "]");
	bad(many, "more than 64");
	free(many);
}

static void incomplete(void)
{
	static const char whole[] = "[" RANGE("4096", "8192", "0") "]";
	size_t i, n = 0;

	for (i = 0; i < strlen(whole); i++)
		n += handshake_parse(whole, i, SIZE, r, &nr) == handshake_incomplete && !nr;
	tap_ok(n == strlen(whole), "every beginning of a message is none yet");
	tap_ok(!strcmp(parse("{}"), handshake_incomplete) &&
	       !strcmp(parse("\"x\""), handshake_incomplete) &&
	       !strcmp(parse("[] []"), handshake_incomplete) &&
	       !strcmp(parse("\xff\xfe\x00"), handshake_incomplete) &&
	       !strcmp(parse("[{\"size\":1,\"size\":2}]"), handshake_incomplete), "garbage");
	/* anything at all: no crash, and what is accepted is in bounds */
	srand(7);
	for (i = 0, n = 0; i < 200000; i++) {
		char buf[sizeof(whole)];

		memcpy(buf, whole, sizeof(buf));
		for (int k = 0; k < 1 + rand() % 3; k++)
			buf[rand() % (sizeof(buf) - 1)] = "0123456789,:\"{}[]-.e"[rand() % 20];
		if (!handshake_parse(buf, sizeof(buf) - 1, SIZE, r, &nr))
			for (size_t k = 0; k < nr; k++)
				n += r[k].offset + r[k].len > SIZE || !r[k].len ||
				     r[k].addr % 4096 || r[k].len % 4096;
	}
	tap_ok(!n, "messages with mistakes");
}

static void on_command_lines(void)
{
	struct tp_uffd_range g;

	tap_ok(range_parse("0x7f0000000000,64M,0", &g) && g.addr == 0x7f0000000000 &&
	       g.len == SIZE && !g.offset && g.page_size == 4096, "ADDR,LEN,OFFSET");
	tap_ok(range_parse("4194304,2M,4K,2M", &g) && g.addr == 4194304 && g.offset == 4096 &&
	       g.page_size == 2097152, "and the size of pages");
	tap_ok(!range_parse("", &g) && !range_parse("1,2", &g) && !range_parse("1,2,3,4,5", &g) &&
	       !range_parse("x,2,3", &g) && !range_parse("0x,4096,0", &g) &&
	       !range_parse("0x11111111111111111,4096,0", &g) && !range_parse("1,,3", &g) &&
	       !range_parse("4096,4096,0,4G", &g) && !range_parse("0x-1,4096,0", &g), "no ranges");
}

int main(void)
{
	versions();
	refused();
	incomplete();
	on_command_lines();
	return tap_done();
}
