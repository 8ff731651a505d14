/* SPDX-License-Identifier: GPL-2.0 */
/*
 * guest_regs.h - where a QEMU says that its guest's CPUs stand and its RAM is
 *
 * QEMU tells it to people only, and is not trusted: what is not as it was when this was
 * written is refused as a whole.
 */
#ifndef TELEPAGE_GUEST_REGS_H
#define TELEPAGE_GUEST_REGS_H

#include "guest_walk.h"

/*
 * "info registers -a" of an x86-64: how many CPUs there are in @cpus, at most @max;
 * 0: it is something else
 */
unsigned int guest_regs_parse(const char *text, struct guest_cpu *cpus, unsigned int max);

/*
 * "info mtree -f": where the @nr memory back ends named @names are in the guest's memory;
 * region N is the back end @names[N] and has @sizes[N] bytes. false: it is not understood,
 * or there is none of them
 */
bool guest_ram_parse(const char *text, const char *const *names, const uint64_t *sizes,
		     unsigned int nr, struct guest_ram *ram);

#endif /* TELEPAGE_GUEST_REGS_H */
