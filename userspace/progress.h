/* SPDX-License-Identifier: GPL-2.0 */
/*
 * progress.h - a progress bar for work counted in pages
 *
 * Feed it totals as often as you like (a few times a second is good); it keeps
 * its own clock, so rates and the time left come out right whatever the
 * interval. On a terminal it redraws one line in place:
 *
 *   vm0 [#####----]  52%  136314/262144 pages   118 MiB/s  240 demand/s  0:04 left
 *
 * Elsewhere (a log, a pipe) it prints such a line without the bar every
 * TP_PROGRESS_PLAIN_S seconds and when it is finished.
 *
 *	struct tp_progress p;
 *
 *	tp_progress_init(&p, stderr, "vm0");
 *	while (filling)
 *		tp_progress_update(&p, here, total, region.stats.demand);
 *	tp_progress_finish(&p, true);
 */
#ifndef TELEPAGE_PROGRESS_H
#define TELEPAGE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TP_PROGRESS_SAMPLES	32	/* what rates are averaged over… */
#define TP_PROGRESS_WINDOW_NS	5000000000ULL	/* …and at most this long */
#define TP_PROGRESS_PLAIN_S	5	/* between lines when not on a terminal */

struct tp_progress_sample {
	uint64_t ns;			/* CLOCK_MONOTONIC */
	uint64_t done, demand;		/* pages since the beginning */
};

struct tp_progress {
	FILE *out;
	bool tty;			/* redraw in place */
	bool drawn;			/* the cursor stands on our line */
	bool idle;			/* set it: nothing comes, show no speed */
	bool no_demand;			/* set it: nobody waits for pages, do not show how many */
	char label[64];
	struct tp_progress_sample ring[TP_PROGRESS_SAMPLES];
	unsigned int head, nr;		/* next slot; slots in use */
	uint64_t plain_ns;		/* when the last plain line was printed */

	/* what the last update came to; read freely */
	uint64_t done, total, demand;	/* pages */
	double rate;			/* pages per second */
	double demand_rate;		/* demanded pages per second */
	int64_t left_s;			/* seconds left, -1: cannot say */
};

/* draws on @out if that is a terminal; @label is copied (and escaped) */
void tp_progress_init(struct tp_progress *p, FILE *out, const char *label);

/*
 * @done of @total pages are there, @demand (a counter that only grows, 0 when
 * not known) came because somebody waited for them.
 */
void tp_progress_update(struct tp_progress *p, uint64_t done, uint64_t total, uint64_t demand);

/* prints a line of its own without disturbing the bar, like printf */
void tp_progress_say(struct tp_progress *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* takes the bar away (@keep false) or leaves it as the last line (@keep true) */
void tp_progress_finish(struct tp_progress *p, bool keep);

/* the parts, for who draws by himself: the numbers at a given time… */
void tp_progress_sample(struct tp_progress *p, uint64_t now_ns, uint64_t done, uint64_t total,
			uint64_t demand);
/* …and the line for @columns columns (0: no bar), without a newline */
void tp_progress_line(const struct tp_progress *p, char *buf, size_t len, unsigned int columns);

uint64_t tp_now_ns(void);		/* CLOCK_MONOTONIC */
unsigned int tp_columns(FILE *out);

/* a terminal, and one where the cursor can go back */
bool tp_redraws(FILE *out);	/* width of the terminal, 80 when it has none */

#endif /* TELEPAGE_PROGRESS_H */
