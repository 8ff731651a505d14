// SPDX-License-Identifier: GPL-2.0
/*
 * progress.c - a progress bar for work counted in pages
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/telepage.h>

#include "fmt.h"
#include "progress.h"

#define SECOND_NS	1000000000ULL
/* closer together, the samples of the window would cover too little time */
#define SAMPLE_GAP_NS	(TP_PROGRESS_WINDOW_NS / TP_PROGRESS_SAMPLES)
#define BAR_MIN		8
#define BAR_MAX		40
#define LABEL_MIN	8
#define PERCENT_WIDTH	6		/* "100%  " */
#define RATE_WIDTH	10		/* "99.9 MiB/s" */
#define DEMAND_WIDTH	3
#define LEFT_WIDTH	4		/* "0:04" */
#define LINE_LEN	256

uint64_t tp_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

unsigned int tp_columns(FILE *out)
{
	struct winsize w;

	if (ioctl(fileno(out), TIOCGWINSZ, &w) || !w.ws_col)
		return 80;
	return w.ws_col;
}

bool tp_redraws(FILE *out)
{
	const char *term = getenv("TERM");

	return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

void tp_progress_init(struct tp_progress *p, FILE *out, const char *label)
{
	memset(p, 0, sizeof(*p));
	p->out = out;
	p->tty = tp_redraws(out);
	p->left_s = -1;
	tp_escape(p->label, sizeof(p->label), label);
}

void tp_progress_sample(struct tp_progress *p, uint64_t now_ns, uint64_t done, uint64_t total,
			uint64_t demand)
{
	const struct tp_progress_sample *oldest, *newest;
	double s;

	/* going backwards: it is something else now, old rates say nothing of it */
	if (done < p->done || demand < p->demand)
		p->nr = 0;
	p->done = done;
	p->total = total;
	p->demand = demand;

	/* forget what is out of the window, but keep one sample to subtract from */
	while (p->nr > 1) {
		oldest = &p->ring[(p->head + TP_PROGRESS_SAMPLES - p->nr) % TP_PROGRESS_SAMPLES];
		if (now_ns - oldest->ns <= TP_PROGRESS_WINDOW_NS)
			break;
		p->nr--;
	}

	p->rate = p->demand_rate = 0;
	p->left_s = -1;
	if (p->nr) {
		oldest = &p->ring[(p->head + TP_PROGRESS_SAMPLES - p->nr) % TP_PROGRESS_SAMPLES];
		s = (double)(now_ns - oldest->ns) / SECOND_NS;
		if (s > 0) {
			p->rate = (done - oldest->done) / s;
			p->demand_rate = (demand - oldest->demand) / s;
		}
	}
	if (done >= total)
		p->left_s = 0;
	else if (p->rate > 0 && (total - done) / p->rate < INT32_MAX)
		p->left_s = (int64_t)((total - done) / p->rate) + 1;

	newest = &p->ring[(p->head + TP_PROGRESS_SAMPLES - 1) % TP_PROGRESS_SAMPLES];
	if (!p->nr || now_ns - newest->ns >= SAMPLE_GAP_NS) {
		p->ring[p->head] = (struct tp_progress_sample){ now_ns, done, demand };
		p->head = (p->head + 1) % TP_PROGRESS_SAMPLES;
		if (p->nr < TP_PROGRESS_SAMPLES)
			p->nr++;
	}
}

/* "[#####-----]" of @width characters */
static void bar(char *buf, unsigned int width, uint64_t done, uint64_t total)
{
	unsigned int inner = width - 2, full = inner;

	if (done < total)
		full = (unsigned int)((double)done / total * inner);
	if (done < total && full >= inner)
		full = inner - 1;
	buf[0] = '[';
	memset(buf + 1, '#', full);
	memset(buf + 1 + full, '-', inner - full);
	buf[width - 1] = ']';
	buf[width] = '\0';
}

/* what is variable in width gets the usual one on a terminal, so that little jumps */
static void speed(const struct tp_progress *p, char *buf, size_t len, bool pad)
{
	char rate[TP_FMT_LEN], left[TP_FMT_LEN], demand[TP_FMT_LEN];

	*buf = '\0';
	if (p->done >= p->total || p->idle)
		return;
	tp_fmt_rate(rate, sizeof(rate), p->rate * TELEPAGE_PAGE_SIZE);
	tp_fmt_left(left, sizeof(left), p->left_s);
	if (p->no_demand) {
		snprintf(buf, len, "  %*s  %*s left", pad ? RATE_WIDTH : 0, rate,
			 pad ? LEFT_WIDTH : 0, left);
		return;
	}
	tp_fmt_count(demand, sizeof(demand), (uint64_t)(p->demand_rate + 0.5));
	snprintf(buf, len, "  %*s  %*s demand/s  %*s left", pad ? RATE_WIDTH : 0, rate,
		 pad ? DEMAND_WIDTH : 0, demand, pad ? LEFT_WIDTH : 0, left);
}

/* in a narrow line the percentage gives way to the bar, then the bar, then the label */
void tp_progress_line(const struct tp_progress *p, char *buf, size_t len, unsigned int columns)
{
	char percent[TP_FMT_LEN], amount[3 * TP_FMT_LEN], rates[4 * TP_FMT_LEN],
	     bar_buf[BAR_MAX + 4] = "", total[TP_FMT_LEN];
	size_t used, room, label = strlen(p->label);
	const char *gap = "";

	/* no commas: two numbers of pages, a bar and the speed have to go into 80 columns */
	snprintf(total, sizeof(total), "%" PRIu64, p->total);
	snprintf(amount, sizeof(amount), "%*" PRIu64 "/%s pages", columns ? (int)strlen(total) : 0,
		 p->done, total);
	tp_fmt_percent(percent, sizeof(percent), p->done, p->total);
	speed(p, rates, sizeof(rates), columns);

	/* the last column stays free, and there is a blank behind the label */
	used = PERCENT_WIDTH + strlen(amount) + strlen(rates) + 1 + (label ? 1 : 0);
	room = columns > used ? columns - used : 0;
	if (columns && label > room)
		label = room > LABEL_MIN ? room : label < LABEL_MIN ? label : LABEL_MIN;
	room = room > label ? room - label : 0;
	if (room && room <= BAR_MIN && room + PERCENT_WIDTH > BAR_MIN) {
		room += PERCENT_WIDTH;
		*percent = '\0';
	}
	if (room > BAR_MAX + 1)
		room = BAR_MAX + 1;
	if (room > BAR_MIN) {
		bar(bar_buf, room - 1, p->done, p->total);
		gap = " ";
	}
	snprintf(buf, len, "%.*s%s%s%s%*s%s%s%s", (int)label, p->label, label ? " " : "", bar_buf,
		 gap, *percent ? PERCENT_WIDTH - 2 : 0, percent, *percent ? "  " : "", amount, rates);
}

static void draw(struct tp_progress *p)
{
	unsigned int columns = tp_columns(p->out);
	char line[LINE_LEN];

	tp_progress_line(p, line, sizeof(line), columns);
	/* a line that wraps cannot be drawn over */
	if (columns > 1 && strlen(line) >= columns)
		line[columns - 1] = '\0';
	fprintf(p->out, "\r%s\033[K", line);
	fflush(p->out);
	p->drawn = true;
}

static void print_plain(struct tp_progress *p)
{
	char line[LINE_LEN];

	tp_progress_line(p, line, sizeof(line), 0);
	fprintf(p->out, "%s\n", line);
	fflush(p->out);
}

void tp_progress_update(struct tp_progress *p, uint64_t done, uint64_t total, uint64_t demand)
{
	uint64_t now = tp_now_ns();

	tp_progress_sample(p, now, done, total, demand);
	if (p->tty) {
		draw(p);
	} else if (now - p->plain_ns >= TP_PROGRESS_PLAIN_S * SECOND_NS && p->nr > 1) {
		/* the first line comes with the first rate */
		print_plain(p);
		p->plain_ns = now;
	}
}

static void wipe(struct tp_progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", p->out);
	p->drawn = false;
}

void tp_progress_say(struct tp_progress *p, const char *fmt, ...)
{
	bool again = p->drawn;
	va_list ap;

	wipe(p);
	va_start(ap, fmt);
	vfprintf(p->out, fmt, ap);
	va_end(ap);
	fputc('\n', p->out);
	if (again)
		draw(p);
	fflush(p->out);
}

void tp_progress_finish(struct tp_progress *p, bool keep)
{
	if (!p->tty) {
		if (keep)
			print_plain(p);
	} else if (!keep) {
		wipe(p);
	} else if (p->drawn) {
		draw(p);
		fputc('\n', p->out);
		p->drawn = false;
	}
	fflush(p->out);
}
