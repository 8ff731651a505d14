/* SPDX-License-Identifier: GPL-2.0 */
/*
 * serve.h - exports that other agents import; their requests are in peer.h
 */
#ifndef TELEPAGE_SERVE_H
#define TELEPAGE_SERVE_H

struct plink;

/* who imports over @l wants to know what need not cross it; takes over @fd */
void serve_accept_plan(int fd, struct plink *l);

#endif /* TELEPAGE_SERVE_H */
