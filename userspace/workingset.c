// SPDX-License-Identifier: GPL-2.0
/*
 * workingset.c - which pages of a VM were needed first, see workingset.h
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "loop.h"
#include "workingset.h"

#define FIRST_LINE	"telepage-workingset 1"
#define PAGES_MAX	(INT64_MAX / TELEPAGE_PAGE_SIZE)	/* no file is larger */
#define RUN_LEN		42		/* two numbers of 20 digits, a blank, a newline */
#define TEXT_MAX	((WORKINGSET_RUNS_MAX + 4) * RUN_LEN)

void workingset_free(struct workingset *w)
{
	free(w->runs);
	memset(w, 0, sizeof(*w));
}

static int by_start(const void *a, const void *b)
{
	const struct telepage_run *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

uint64_t workingset_count(const struct workingset *w)
{
	struct telepage_run *runs = xcalloc(w->n + 1, sizeof(*runs));
	uint64_t n = 0, counted = 0;	/* all pages before it are */

	for (size_t i = 0; i < w->n; i++)
		runs[i] = w->runs[i];
	qsort(runs, w->n, sizeof(*runs), by_start);
	for (size_t i = 0; i < w->n; i++) {
		uint64_t start = runs[i].start > counted ? runs[i].start : counted;
		uint64_t end = runs[i].start + runs[i].count;

		if (end > start)
			n += end - start;
		if (end > counted)
			counted = end;
	}
	free(runs);
	return n;
}

/* digits only, no sign, no blanks: false when there is none, or it is too large */
static bool number(const char **p, uint64_t *v)
{
	uint64_t n = 0;
	const char *s = *p;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		uint64_t digit = *s - '0';

		if (n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*p = s;
	*v = n;
	return true;
}

static bool word(const char **p, const char *s)
{
	size_t len = strlen(s);

	if (strncmp(*p, s, len) != 0)
		return false;
	*p += len;
	return true;
}

static const char *parse(const char *p, struct workingset *w)
{
	uint64_t n;

	if (!word(&p, FIRST_LINE "\n"))
		return strncmp(p, "telepage-workingset ", 20) ? "it is no record of a working set" :
		       "it is of another version";
	if (!word(&p, "pages ") || !number(&p, &w->pages) || !w->pages ||
	    w->pages > PAGES_MAX || !word(&p, "\nruns ") ||
	    !number(&p, &n) || !word(&p, "\n"))
		return "its header is damaged";
	if (n > WORKINGSET_RUNS_MAX)
		return "it has more runs than can be replayed";
	w->runs = calloc(n + 1, sizeof(*w->runs));
	if (!w->runs)
		return "no memory for it";
	for (; w->n < n; w->n++) {
		uint64_t start, count;

		if (!number(&p, &start) || !word(&p, " ") || !number(&p, &count) || !word(&p, "\n"))
			return "it is cut off, or a run is damaged";
		if (!count || start >= w->pages || count > w->pages - start)
			return "a run is empty or outside of its region";
		w->runs[w->n].start = start;
		w->runs[w->n].count = count;
	}
	return *p ? "there is more behind its end" : NULL;
}

const char *workingset_parse(const char *text, struct workingset *w)
{
	const char *why;

	memset(w, 0, sizeof(*w));
	why = parse(text, w);
	if (why)
		workingset_free(w);
	return why;
}

char *workingset_format(const struct workingset *w)
{
	size_t room = (w->n + 4) * RUN_LEN, at;
	char *text = malloc(room);

	if (!text)
		return NULL;
	at = snprintf(text, room, FIRST_LINE "\npages %" PRIu64 "\nruns %zu\n", w->pages, w->n);
	for (size_t i = 0; i < w->n; i++)
		at += snprintf(text + at, room - at, "%" PRIu64 " %" PRIu64 "\n",
			       (uint64_t)w->runs[i].start, (uint64_t)w->runs[i].count);
	return text;
}

/* to its end, however many pieces it comes in */
static char *read_stream(FILE *f)
{
	char *text = calloc(1, TEXT_MAX + 2);
	size_t n;

	if (!text)
		return NULL;
	n = fread(text, 1, TEXT_MAX + 1, f);
	if (!ferror(f) && n <= TEXT_MAX && !memchr(text, 0, n))
		return text;
	errno = n > TEXT_MAX ? EFBIG : ferror(f) ? EIO : EILSEQ;
	free(text);
	return NULL;
}

static char *read_named(const char *path)
{
	struct stat st;
	char *text;
	FILE *f;

	if (!strcmp(path, "-"))
		return read_stream(stdin);
	if (stat(path, &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return file_read(path, TEXT_MAX);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	text = read_stream(f);
	fclose(f);
	return text;
}

static const char *parse_file(char *text, struct workingset *w)
{
	const char *why;

	memset(w, 0, sizeof(*w));
	if (!text)
		return errno == EILSEQ ? "it is no text" : strerror(errno);
	why = workingset_parse(text, w);
	free(text);
	return why;
}

const char *workingset_load(const char *path, struct workingset *w)
{
	return parse_file(file_read(path, TEXT_MAX), w);
}

const char *workingset_load_named(const char *path, struct workingset *w)
{
	return parse_file(read_named(path), w);
}

int workingset_read(struct tp_nl *nl, const char *region, struct workingset *w)
{
	struct tp_region r;
	uint64_t all = 0;
	int err;

	memset(w, 0, sizeof(*w));
	err = tp_region_get(nl, region, &r);
	if (err)
		return err;
	w->pages = r.size / TELEPAGE_PAGE_SIZE;
	do {
		struct telepage_run *more;
		size_t n = 0;

		more = realloc(w->runs, (w->n + TELEPAGE_RUNS_MAX) * sizeof(*more));
		if (!more) {
			err = -ENOMEM;
			break;
		}
		w->runs = more;
		err = tp_region_touched(nl, region, w->n, w->runs + w->n, &n, &all);
		w->n += n;
		/* A record that is still written to may end a little earlier. */
		if (!n)
			break;
	} while (!err && w->n < all && w->n < WORKINGSET_RUNS_MAX);
	if (err)
		workingset_free(w);
	return err;
}

int workingset_replay(struct tp_nl *nl, const char *region, const struct workingset *w)
{
	struct telepage_run *runs;
	struct tp_region r;
	uint64_t pages;
	size_t n = 0;
	int err;

	err = tp_region_get(nl, region, &r);
	if (err)
		return err;
	pages = r.size / TELEPAGE_PAGE_SIZE;
	runs = calloc(w->n + 1, sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++) {
		struct telepage_run run = w->runs[i];

		if (run.start >= pages)
			continue;
		if (run.count > pages - run.start)
			run.count = pages - run.start;
		runs[n++] = run;
	}
	err = n ? tp_region_replay(nl, region, runs, n) : 0;
	free(runs);
	return err;
}

void workingset_path(char *buf, size_t len, const char *state, const char *region)
{
	snprintf(buf, len, "%s/" WORKINGSET_DIR "/%s", state, region);
}

int workingset_store(const char *state, const char *region, const struct workingset *w)
{
	char path[512], *text;
	int err;

	snprintf(path, sizeof(path), "%s/" WORKINGSET_DIR, state);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	text = workingset_format(w);
	if (!text)
		return -ENOMEM;
	workingset_path(path, sizeof(path), state, region);
	err = file_replace(path, text, 0600);
	free(text);
	return err;
}
