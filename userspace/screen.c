// SPDX-License-Identifier: GPL-2.0
/*
 * screen.c - lines on a terminal that are drawn over again and again
 */
#include <string.h>
#include <sys/ioctl.h>

#include "screen.h"

#define ROWS	24
#define COLUMNS	80

void tp_screen_size(struct tp_screen *s)
{
	struct winsize w = { 0 };

	ioctl(fileno(s->out), TIOCGWINSZ, &w);
	s->rows = w.ws_row ? w.ws_row : ROWS;
	s->columns = w.ws_col ? w.ws_col : COLUMNS;
}

size_t tp_screen_room(const struct tp_screen *s, size_t n)
{
	/* the cursor needs a row of its own */
	if (!s->over || n < s->rows)
		return n;
	return s->rows > 2 ? s->rows - 2 : 0;
}

void tp_screen_begin(struct tp_screen *s)
{
	/* it may have been higher when they were drawn */
	if (s->lines >= s->rows)
		s->lines = s->rows ? s->rows - 1 : 0;
	if (s->over && s->lines)
		fprintf(s->out, "\033[%zuA", s->lines);
	s->lines = 0;
}

void tp_screen_line(struct tp_screen *s, const char *text)
{
	size_t len = strlen(text);

	if (s->over && len >= s->columns)
		len = s->columns ? s->columns - 1 : 0;
	fprintf(s->out, "%.*s%s\n", (int)len, text, s->over ? "\033[K" : "");
	s->lines++;
}

void tp_screen_end(struct tp_screen *s)
{
	if (s->over)
		fputs("\033[J", s->out);
	fflush(s->out);
}
