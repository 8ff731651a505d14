/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tmpfile.h - files that are being written, under a name of their own until they are whole
 *
 * Who writes one has it locked; one that nobody has locked is left over from somebody who died.
 */
#ifndef TELEPAGE_TMPFILE_H
#define TELEPAGE_TMPFILE_H

#include <stdint.h>

#define TMP_SUFFIX	".tmp"

/*
 * An empty file @path (of the directory @dirfd), mode 0600, locked, open for reading and
 * writing: its descriptor, or -EBUSY: somebody is writing it, -EEXIST: it is no file of ours, or
 * another negative errno. Rename it, then close it.
 */
int tmp_open(int dirfd, const char *path);
/* removes it if it is left over: 0, else -EBUSY and @size of what is being written, or an errno */
int tmp_sweep(int dirfd, const char *path, uint64_t *size, uint64_t *bytes);

#endif /* TELEPAGE_TMPFILE_H */
