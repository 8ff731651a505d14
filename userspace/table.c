// SPDX-License-Identifier: GPL-2.0
/*
 * table.c - columns as wide as what stands in them
 */
#include <stdlib.h>
#include <string.h>

#include "fmt.h"
#include "table.h"

/* a longer text (a link's note) is cut: --json has all of it */
#define CELL_MAX	80

static char *make_cell(const struct tp_table *t, const char *text)
{
	/* "\xff" for each character, at most */
	size_t len = t->whole ? 4 * strlen(text) + 1 : CELL_MAX + 1;
	char *cell = malloc(len);

	if (!cell)
		abort();
	return tp_escape(cell, len, text);
}

void tp_table_row(struct tp_table *t, const char *const *texts)
{
	if (t->nr + t->columns > t->room) {
		size_t room = t->room ? t->room * 2 : 16 * t->columns;
		char **cell = realloc(t->cell, room * sizeof(*cell));

		if (!cell)
			abort();
		t->cell = cell;
		t->room = room;
	}
	for (unsigned int i = 0; i < t->columns; i++) {
		char *cell = make_cell(t, texts[i] ? texts[i] : "");
		unsigned int width = strlen(cell);

		if (width > t->width[i])
			t->width[i] = width;
		t->cell[t->nr++] = cell;
	}
}

void tp_table_print(struct tp_table *t, FILE *f)
{
	for (size_t n = 0; n < t->nr; n++) {
		unsigned int i = n % t->columns;
		bool last = i + 1 == t->columns;

		if (!i && t->indent)
			fputs(t->indent, f);
		if (t->right >> i & 1)
			fprintf(f, "%*s", (int)t->width[i], t->cell[n]);
		else if (last)
			fputs(t->cell[n], f);	/* no blanks at the end of a line */
		else
			fprintf(f, "%-*s", (int)t->width[i], t->cell[n]);
		fputs(last ? "\n" : "  ", f);
		free(t->cell[n]);
	}
	free(t->cell);
	t->cell = NULL;
	t->nr = t->room = 0;
}
