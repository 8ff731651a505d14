/* SPDX-License-Identifier: GPL-2.0 */
/*
 * screen.h - lines on a terminal that are drawn over again and again
 *
 * What has scrolled off a terminal cannot be drawn over, so there are never more
 * lines than it has: ask tp_screen_room() first.
 *
 *	struct tp_screen s = { .out = stdout, .over = true };
 *
 *	while (...) {
 *		tp_screen_begin(&s);
 *		tp_screen_line(&s, "a line");
 *		tp_screen_end(&s);
 *	}
 */
#ifndef TELEPAGE_SCREEN_H
#define TELEPAGE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct tp_screen {
	FILE *out;
	bool over;			/* else lines just follow each other */
	unsigned int rows, columns;	/* of the terminal, see tp_screen_size() */
	size_t lines;			/* that are drawn; the cursor is below them */
};

/* looks how large it is now; 24 rows of 80 columns when it does not say */
void tp_screen_size(struct tp_screen *s);
/*
 * How many of @n lines can be drawn. When it is less than @n there is room for one
 * line more, which says so.
 */
size_t tp_screen_room(const struct tp_screen *s, size_t n);
void tp_screen_begin(struct tp_screen *s);
/* @text is cut where it would wrap */
void tp_screen_line(struct tp_screen *s, const char *text);
void tp_screen_end(struct tp_screen *s);

#endif /* TELEPAGE_SCREEN_H */
