/* SPDX-License-Identifier: GPL-2.0 */
/*
 * file.h - small files, read and written as a whole
 */
#ifndef TELEPAGE_FILE_H
#define TELEPAGE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* NULL with errno; EFBIG: over @max, EILSEQ: with a NUL, so it is no text */
char *file_read(const char *path, size_t max);
/*
 * A new file, on disk when it returns 0, else a negative errno; -EEXIST: there is one.
 * Never through a link, never into a file that somebody may have open.
 */
int file_make(const char *path, const char *text, mode_t mode);
/* the same as PATH.new, whatever is there, and that put into PATH's place */
int file_stage(const char *path, const char *text, mode_t mode);
int file_commit(const char *path);
/* both: who reads @path finds the old text or the new one, never half of it */
int file_replace(const char *path, const char *text, mode_t mode);
/*
 * The same where a user says, who may have files of any name beside it: a pipe, a device or a
 * link that is there stays, and gets the text.
 */
int file_put(const char *path, const char *text, mode_t mode);

/* all of @buf at @at, however many writes it takes: 0 or a negative errno */
int file_write_at(int fd, const void *buf, size_t len, off_t at);

#endif /* TELEPAGE_FILE_H */
