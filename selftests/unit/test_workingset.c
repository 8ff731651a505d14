// SPDX-License-Identifier: GPL-2.0
/* records of working sets: workingset.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "workingset.h"

#define HEAD	"telepage-workingset 1\n"

static void good(void)
{
	struct telepage_run runs[] = { { 100, 1 }, { 5, 3 }, { 1023, 1 }, { 0, 1024 } };
	struct workingset w = { .pages = 1024, .runs = runs, .n = 4 }, r;
	char *text = workingset_format(&w);
	const char *why = workingset_parse(text, &r);

	tap_ok(!why && r.pages == 1024 && r.n == 4 && !memcmp(r.runs, runs, sizeof(runs)) &&
	       workingset_count(&r) == 1024, "what is written is read again, in its order");
	workingset_free(&r);
	free(text);
	why = workingset_parse(HEAD "pages 1\nruns 0\n", &r);
	tap_ok(!why && !r.n, "one that is empty");
	workingset_free(&r);
	why = workingset_parse(HEAD "pages 2251799813685247\nruns 1\n2251799813685246 1\n", &r);
	tap_ok(!why && r.runs[0].start == 2251799813685246ULL, "the largest numbers there are");
	workingset_free(&r);
}

static void bad(void)
{
	static const struct { const char *what, *text, *words; } t[] = {
		{ "nothing", "", "no record" },
		{ "something else", "root:x:0:0:root:/root:/bin/bash\n", "no record" },
		{ "another version", "telepage-workingset 2\npages 1\nruns 0\n", "another version" },
		{ "a longer version", "telepage-workingset 11\npages 1\nruns 0\n", "another version" },
		{ "no page at all", HEAD "pages 0\nruns 0\n", "header" },
		{ "a negative number", HEAD "pages -1\nruns 0\n", "header" },
		{ "a number that is too large", HEAD "pages 18446744073709551616\nruns 0\n", "header" },
		{ "a region larger than any file", HEAD "pages 2251799813685248\nruns 0\n", "header" },
		{ "a hexadecimal number", HEAD "pages 0x10\nruns 0\n", "header" },
		{ "a header that ends", HEAD "pages 10", "header" },
		{ "too many runs", HEAD "pages 10\nruns 65537\n", "more runs" },
		{ "runs without end", HEAD "pages 10\nruns 18446744073709551615\n", "more runs" },
		{ "fewer runs than said", HEAD "pages 10\nruns 2\n1 1\n", "cut off" },
		{ "a run that is cut", HEAD "pages 10\nruns 1\n1", "cut off" },
		{ "no end of line", HEAD "pages 10\nruns 1\n1 1", "cut off" },
		{ "blanks", HEAD "pages 10\nruns 1\n 1 1\n", "cut off" },
		{ "an empty run", HEAD "pages 10\nruns 1\n1 0\n", "empty" },
		{ "a run behind the end", HEAD "pages 10\nruns 1\n10 1\n", "outside" },
		{ "a run over the end", HEAD "pages 10\nruns 1\n9 2\n", "outside" },
		{ "a run that wraps around", HEAD "pages 10\nruns 1\n5 18446744073709551612\n", "outside" },
		{ "more runs than said", HEAD "pages 10\nruns 1\n1 1\n2 1\n", "behind its end" },
	};
	struct workingset w;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		const char *why = workingset_parse(t[i].text, &w);

		tap_ok(why && strstr(why, t[i].words) && !w.runs && !w.n, "refused: %s (%s)", t[i].what,
		       why ? why : "taken");
		workingset_free(&w);
	}
}

/* whatever byte of one is changed: it is refused, or what is taken fits its region */
static void changed(void)
{
	static const char text[] = HEAD "pages 1000\nruns 3\n10 5\n999 1\n0 1000\n";
	unsigned int wrong = 0, taken = 0;
	char copy[sizeof(text)];
	struct workingset w;

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		for (int c = 0; c < 256; c++) {
			memcpy(copy, text, sizeof(text));
			copy[i] = (char)c;
			if (workingset_parse(copy, &w))
				continue;
			taken++;
			for (size_t k = 0; k < w.n; k++)
				wrong += !w.runs[k].count || w.runs[k].start >= w.pages ||
					 w.runs[k].count > w.pages - w.runs[k].start;
			workingset_free(&w);
		}
	}
	tap_ok(taken && !wrong, "any byte changed: nothing is taken that does not fit (%u were)", taken);
}

/* what stands behind a NUL is not looked at: such a file is no record */
static void with_nul(void)
{
	static const char text[] = HEAD "pages 16\nruns 1\n7 2\n\0anything";
	char path[] = "/tmp/tp-workingset.XXXXXX";
	struct workingset w;
	int fd = mkstemp(path);
	const char *why;

	if (fd < 0 || write(fd, text, sizeof(text)) != sizeof(text))
		exit(1);
	close(fd);
	why = workingset_load(path, &w);
	tap_ok(why && strstr(why, "no text") && !w.runs, "refused: a NUL (%s)", why ? why : "taken");
	workingset_free(&w);
	if (!freopen(path, "r", stdin))
		exit(1);
	why = workingset_load_named("-", &w);
	tap_ok(why && strstr(why, "no text") && !w.runs, "and as standard input (%s)", why ? why : "taken");
	workingset_free(&w);
	unlink(path);
}

static void stored(void)
{
	char dir[] = "/tmp/tp-workingset.XXXXXX", path[256], sub[256];
	struct telepage_run runs[] = { { 7, 2 } };
	struct workingset w = { .pages = 16, .runs = runs, .n = 1 }, r;
	struct stat st;

	if (!mkdtemp(dir))
		exit(1);
	workingset_path(path, sizeof(path), dir, "vm0");
	tap_ok(workingset_load(path, &r) && !r.runs, "none was kept");
	tap_ok(!workingset_store(dir, "vm0", &w) && !workingset_store(dir, "vm0", &w) &&
	       !stat(path, &st) && (st.st_mode & 0777) == 0600, "kept, for nobody else to read");
	tap_ok(!workingset_load(path, &r) && r.n == 1 && r.runs[0].start == 7 && r.pages == 16,
	       "and found again");
	workingset_free(&r);
	unlink(path);
	snprintf(sub, sizeof(sub), "%s/" WORKINGSET_DIR, dir);
	rmdir(sub);
	rmdir(dir);
}

int main(void)
{
	good();
	bad();
	changed();
	with_nul();
	stored();
	return tap_done();
}
