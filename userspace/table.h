/* SPDX-License-Identifier: GPL-2.0 */
/*
 * table.h - columns as wide as what stands in them
 *
 *	struct tp_table t = { .columns = 3, .right = 1 << 1 };
 *
 *	tp_table_row(&t, (const char *[]){ "NAME", "SIZE", "STATE" });
 *	…
 *	tp_table_print(&t, stdout);	frees it too
 *
 * A text of more than 80 characters is cut, unless the table is @whole: then the column that may
 * be long is best the last one, so that no other line becomes as long as that.
 */
#ifndef TELEPAGE_TABLE_H
#define TELEPAGE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TP_TABLE_COLUMNS_MAX	16

struct tp_table {
	unsigned int columns;
	uint32_t right;			/* bit per column: align to the right */
	bool whole;			/* nothing is cut */
	const char *indent;		/* in front of every row, NULL: nothing */
	char **cell;			/* row after row */
	size_t nr, room;
	unsigned int width[TP_TABLE_COLUMNS_MAX];
};

/* copies (and escapes) the texts; NULL is an empty cell */
void tp_table_row(struct tp_table *t, const char *const *texts);
void tp_table_print(struct tp_table *t, FILE *f);

#endif /* TELEPAGE_TABLE_H */
