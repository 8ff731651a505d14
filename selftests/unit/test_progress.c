// SPDX-License-Identifier: GPL-2.0
/* progress.c, screen.c and dirtymap.c: rates, lines, what they draw over, runs */
#include <stdlib.h>
#include <string.h>

#include "dirtymap.h"
#include "progress.h"
#include "screen.h"
#include "tap.h"

#define S 1000000000ULL

static void rates(void)
{
	struct tp_progress p;
	uint64_t t = 1000 * S, done = 0;

	tp_progress_init(&p, stdout, "vm0");
	tap_ok(!p.tty, "a pipe is no terminal");
	tp_progress_sample(&p, t, 0, 100000, 0);
	tap_ok(p.rate == 0 && p.left_s == -1, "one sample makes no rate");
	/* the same time again, as a coarse clock may give it */
	tp_progress_sample(&p, t, 0, 100000, 0);
	tap_ok(p.rate == 0 && p.left_s == -1, "no time passed");
	for (int i = 0; i < 10; i++) {
		t += S / 10;
		done += 100;
		tp_progress_sample(&p, t, done, 100000, done / 10);
	}
	tap_ok(p.rate > 999 && p.rate < 1001, "1000 pages a second: %f", p.rate);
	tap_ok(p.demand_rate > 99 && p.demand_rate < 101, "100 of them demanded");
	tap_ok(p.left_s == 100, "99 s left, rounded up: %lld", (long long)p.left_s);
	/* twenty times as fast: the old rate is forgotten after the window */
	for (int i = 0; i < 100; i++) {
		t += S / 10;
		done += 500;
		tp_progress_sample(&p, t, done, 100000, 0);
	}
	tap_ok(p.rate > 4999 && p.rate < 5001, "a new rate: %f", p.rate);
	/* many samples at once must not narrow the window to nothing */
	for (int i = 0; i < 1000; i++) {
		t += S / 1000;
		done += 5;
		tp_progress_sample(&p, t, done, 100000, 0);
	}
	tap_ok(p.rate > 4990 && p.rate < 5010, "the rate of many samples: %f", p.rate);
	tap_ok(t - p.ring[(p.head + TP_PROGRESS_SAMPLES - p.nr) % TP_PROGRESS_SAMPLES].ns > 4 * S,
	       "the window is still wide");
	tp_progress_sample(&p, t + S, 10, 100000, 0);
	tap_ok(p.rate == 0 && p.left_s == -1, "going backwards starts anew");
	tp_progress_sample(&p, t + 2 * S, 100000, 100000, 0);
	tap_ok(p.left_s == 0, "complete");
	/* a stall: the rate goes to nothing, and nobody divides by it */
	for (int i = 0; i < 20; i++)
		tp_progress_sample(&p, t + (10 + i) * S, 100000, 200000, 0);
	tap_ok(p.rate == 0 && p.left_s == -1, "stalled");
}

/* a terminal of the usual width shows all of it, however long the name is */
static void narrow(void)
{
	struct tp_progress p;
	char line[256];

	tp_progress_init(&p, stdout, "vm0");
	tp_progress_sample(&p, S, 0, 1048576, 0);
	tp_progress_sample(&p, 2 * S, 30000, 1048576, 240);
	tp_progress_line(&p, line, sizeof(line), 80);
	tap_str(line, "vm0 [--------]   2%    30000/1048576 pages   117 MiB/s  240 demand/s  0:34 left",
		"80 columns, 4 GiB");
	tp_progress_init(&p, stdout, "mail-1");
	tp_progress_sample(&p, S, 0, 1048576, 0);
	tp_progress_line(&p, line, sizeof(line), 80);
	tap_str(line, "mail-1 [----------]       0/1048576 pages       0 B/s    0 demand/s  --:-- left",
		"80 columns, the bar is worth more than the percentage");
	tp_progress_init(&p, stdout, "web-frontend-of-production-01");
	tp_progress_sample(&p, S, 0, 1048576, 0);
	tp_progress_sample(&p, 2 * S, 30000, 1048576, 240);
	tp_progress_line(&p, line, sizeof(line), 80);
	tap_ok(strlen(line) < 80 && !strncmp(line, "web-front", 9) && strstr(line, "0:34 left") &&
	       strstr(line, " 30000/1048576 pages"), "a long name gives way: %s", line);
}

static void lines(void)
{
	struct tp_progress p;
	char line[256];
	size_t widest = 0;

	tp_progress_init(&p, stdout, "vm\n0");
	tp_progress_sample(&p, S, 0, 262144, 0);
	tp_progress_sample(&p, 2 * S, 131072, 262144, 240);
	tp_progress_line(&p, line, sizeof(line), 0);
	tap_str(line, "vm\\x0a0  50%  131072/262144 pages  512 MiB/s  240 demand/s  0:02 left",
		"line without a bar");
	for (unsigned int columns = 1; columns < 300; columns++) {
		tp_progress_line(&p, line, sizeof(line), columns);
		if (strchr(line, '[') && strlen(line) >= columns)
			widest = columns;
	}
	tap_ok(!widest, "a bar only where it fits (%zu)", widest);
	tp_progress_line(&p, line, sizeof(line), 200);
	tap_ok(strstr(line, "[###################-------------------]") != NULL, "half a bar: %s",
	       line);
	tp_progress_sample(&p, 3 * S, 262143, 262144, 240);
	tp_progress_line(&p, line, sizeof(line), 200);
	tap_ok(strstr(line, "#-]") && strstr(line, "99%"), "not full before the end");
	tp_progress_sample(&p, 4 * S, 262144, 262144, 240);
	tp_progress_line(&p, line, sizeof(line), 200);
	tap_ok(strstr(line, "##]") && strstr(line, "100%") && !strstr(line, "left"), "full");
	tp_progress_sample(&p, 5 * S, UINT64_MAX / 4096, UINT64_MAX / 4096, UINT64_MAX);
	tp_progress_line(&p, line, sizeof(line), 300);
	tap_ok(strlen(line) < sizeof(line), "the largest numbers fit");
	narrow();
	tp_progress_init(&p, stdout, "empty");
	tp_progress_sample(&p, S, 0, 0, 0);
	tp_progress_line(&p, line, sizeof(line), 100);
	tap_ok(strstr(line, "100%") != NULL, "nothing to do is done");
}

#define ROWS	10
#define COLUMNS	20

/* a terminal that knows what screen.c writes */
struct terminal {
	char row[ROWS][COLUMNS + 1];
	unsigned int y, x;
	unsigned int scrolled;		/* rows that went off at its top */
	bool odd;			/* something that it does not know */
};

static void newline(struct terminal *t)
{
	t->x = 0;
	if (t->y < ROWS - 1) {
		t->y++;
		return;
	}
	memmove(t->row[0], t->row[1], sizeof(t->row) - sizeof(t->row[0]));
	memset(t->row[ROWS - 1], 0, sizeof(t->row[0]));
	t->scrolled++;
}

static void feed(struct terminal *t, const char *s)
{
	char *end;

	for (; *s; s++) {
		if (*s == '\n') {
			newline(t);
		} else if (*s != '\033') {
			if (t->x == COLUMNS)
				newline(t);
			t->row[t->y][t->x++] = *s;
		} else {
			unsigned long n = strtoul(s + 2, &end, 10);

			if (*end == 'A')
				t->y = n < t->y ? t->y - n : 0;
			else if (*end == 'K' || *end == 'J')
				memset(t->row[t->y] + t->x, 0, COLUMNS - t->x);
			else
				t->odd = true;
			for (unsigned int y = t->y + 1; *end == 'J' && y < ROWS; y++)
				memset(t->row[y], 0, COLUMNS);
			s = end;
		}
	}
}

/* @n lines of one time, as status draws them, into the terminal */
static size_t draw(struct terminal *t, struct tp_screen *s, size_t n, char mark)
{
	size_t room, len;
	char line[64], *buf;

	s->out = open_memstream(&buf, &len);
	tp_screen_begin(s);
	room = tp_screen_room(s, n);
	for (size_t i = 0; i < room; i++) {
		snprintf(line, sizeof(line), "%c%zu, a long line of some region", mark, i);
		tp_screen_line(s, line);
	}
	if (room < n)
		tp_screen_line(s, "more");
	tp_screen_end(s);
	fclose(s->out);
	feed(t, buf);
	free(buf);
	return room;
}

/* are rows @from to @to of time @mark and nothing else there? */
static bool shows(const struct terminal *t, unsigned int from, unsigned int to, char mark)
{
	char want[8];

	for (unsigned int y = from; y < to; y++) {
		snprintf(want, sizeof(want), "%c%u, a", mark, y - from);
		if (strncmp(t->row[y], want, strlen(want)) != 0)
			return false;
	}
	for (unsigned int y = to + !strcmp(t->row[to], "more"); y < ROWS; y++)
		if (t->row[y][0])
			return false;
	return !t->odd;
}

static void screens(void)
{
	struct tp_screen s = { .over = true, .rows = ROWS, .columns = COLUMNS };
	struct terminal t = { .y = 3 };

	draw(&t, &s, 4, 'a');
	draw(&t, &s, 5, 'b');
	tap_ok(shows(&t, 3, 8, 'b') && !t.scrolled, "more lines than before");
	draw(&t, &s, 2, 'c');
	tap_ok(shows(&t, 3, 5, 'c') && !t.scrolled, "and less");

	/* the first time it may scroll, for what was there before */
	tap_ok(draw(&t, &s, ROWS - 1, 'd') == ROWS - 1 && t.scrolled == 3, "a full terminal");
	for (char mark = 'e'; mark < 'm'; mark++)
		draw(&t, &s, ROWS - 1, mark);
	tap_ok(t.scrolled == 3 && shows(&t, 0, ROWS - 1, 'l'), "stays where it is");

	for (char mark = 'm'; mark < 'z'; mark++)
		draw(&t, &s, 50, mark);
	tap_ok(t.scrolled == 3 && shows(&t, 0, ROWS - 2, 'y'), "more lines than it has rows");
	tap_str(t.row[ROWS - 2], "more", "and a line that says so");
	draw(&t, &s, 2, 'z');
	tap_ok(t.scrolled == 3 && shows(&t, 0, 2, 'z'), "and a few again");

	/* it is made lower than what stands on it */
	draw(&t, &s, ROWS - 1, 'A');
	s.rows = 5;
	draw(&t, &s, ROWS, 'B');
	tap_ok(s.lines == 4, "no more lines than the lower one has");
	for (s.rows = 1; s.rows < 60; s.rows++)
		if (tp_screen_room(&s, 50) + (tp_screen_room(&s, 50) < 50) >= s.rows && s.rows > 1)
			break;
	tap_ok(s.rows == 60, "the cursor always has a row (%u)", s.rows);
	s.over = false;
	tap_ok(tp_screen_room(&s, 5000) == 5000, "a file takes all");
}

static void runs(void)
{
	uint8_t bitmap[8] = { 0xff, 0x01, 0, 0x80, 0x01, 0, 0, 0x80 };
	struct tp_runs r = { 0 };

	tap_ok(!tp_runs_add(&r, bitmap, 0, 64) && r.n == 3 && r.pages == 12, "runs and pages");
	tap_ok(r.v[0].start == 0 && r.v[0].count == 9, "first run");
	tap_ok(r.v[1].start == 31 && r.v[1].count == 2, "over the edge of a byte");
	tap_ok(!tp_runs_add(&r, bitmap, 64, 3) && r.n == 3 && r.v[2].start == 63 &&
	       r.v[2].count == 4, "a run goes on in the next bitmap");
	free(r.v);

	r = (struct tp_runs){ 0 };
	memset(bitmap, 0x55, sizeof(bitmap));
	for (int i = 0; i < 100; i++)
		tp_runs_add(&r, bitmap, i * 64, 61);
	tap_ok(r.n == 3100 && r.pages == 3100, "many runs, and none beyond the count: %zu", r.n);
	free(r.v);
}

int main(void)
{
	rates();
	lines();
	screens();
	runs();
	return tap_done();
}
