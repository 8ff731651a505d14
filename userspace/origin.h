/* SPDX-License-Identifier: GPL-2.0 */
/*
 * origin.h - files that pages may come from: what is asked of them
 */
#ifndef TELEPAGE_ORIGIN_H
#define TELEPAGE_ORIGIN_H

#include <sys/stat.h>

/*
 * Opens @path for reading, with @resolve and more @flags of openat2(2), and waits for nothing: no
 * pipe, no terminal. A descriptor and @st, or a negative errno: -ENODEV, it is neither a regular
 * file nor a block device; -EOPNOTSUPP, it is a file that the kernel makes up as it is read, as in
 * /proc and /sys, where it is another one each time.
 */
int origin_open(const char *path, int flags, unsigned long long resolve, struct stat *st);

/*
 * Such an error in words that go behind the path and a colon, with what is accepted instead;
 * -ENODATA: it has nothing in it. Any other error is strerror()'s.
 */
const char *origin_error(int err);

#endif /* TELEPAGE_ORIGIN_H */
