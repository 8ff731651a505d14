// SPDX-License-Identifier: GPL-2.0
/* what a move's destination takes as a list of pages: move_dst_first.c */
#include <stdio.h>
#include <string.h>

#include "move_dst.h"
#include "tap.h"

#define ALL	1000
#define ROOM	16

static struct telepage_run runs[ROOM];
static size_t room;

static int take(const char *text)
{
	json_t *list = json_loads(text, JSON_DECODE_ANY, NULL);
	int n;

	room = ROOM;
	memset(runs, 0, sizeof(runs));
	n = mdst_runs(list, ALL, runs, ROOM, &room);
	json_decref(list);
	return n;
}

int main(void)
{
	static const struct { const char *what, *text; } bad[] = {
		{ "no list", "{}" },
		{ "a number", "5" },
		{ "nothing at all", "x" },
		{ "half a run", "[1]" },
		{ "a run and a half", "[1,2,3]" },
		{ "an empty run", "[1,0]" },
		{ "a negative one", "[1,-1]" },
		{ "one before the region", "[-1,1]" },
		{ "one behind it", "[1000,1]" },
		{ "one over its end", "[999,2]" },
		{ "the largest number", "[9223372036854775807,1]" },
		{ "the largest count", "[1,9223372036854775807]" },
		{ "words", "[\"1\",\"1\"]" },
		{ "a word", "[\"1\",1]" },
		{ "a fraction", "[1.5,1]" },
		{ "too many pages", "[0,17]" },
		{ "too many in all", "[0,8,20,9]" },
		{ "too many runs", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]" },
		{ "something wrong behind what is right", "[1,1,2,0]" },
	};

	tap_ok(take("[7,1,999,1,3,4]") == 3 && runs[0].start == 7 && runs[0].count == 1 &&
	       runs[1].start == 999 && runs[2].start == 3 && runs[2].count == 4 && room == ROOM - 6,
	       "runs in their order");
	tap_ok(!take("[]") && room == ROOM, "none");
	tap_ok(take("[0,16]") == 1 && !room, "as many pages as there is room for");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(take(bad[i].text) == -1, "refused: %s", bad[i].what);
	return tap_done();
}
