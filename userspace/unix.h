/* SPDX-License-Identifier: GPL-2.0 */
/*
 * unix.h - stream sockets of this host
 */
#ifndef TELEPAGE_UNIX_H
#define TELEPAGE_UNIX_H

/*
 * A connected one, close-on-exec, or a negative errno; -ENAMETOOLONG: no socket can
 * be there. @flags: SOCK_NONBLOCK or 0.
 */
int unix_connect(const char *path, int flags);

#endif /* TELEPAGE_UNIX_H */
