/* SPDX-License-Identifier: GPL-2.0 */
/*
 * notify.h - what systemd wants to be told by a service of Type=notify
 */
#ifndef TELEPAGE_NOTIFY_H
#define TELEPAGE_NOTIFY_H

/*
 * @state: "READY=1", "STOPPING=1". 1: it was sent, 0: nobody waits for it
 * ($NOTIFY_SOCKET is not set), else a negative errno.
 */
int tp_notify(const char *state);

#endif /* TELEPAGE_NOTIFY_H */
