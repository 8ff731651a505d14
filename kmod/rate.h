/* SPDX-License-Identifier: GPL-2.0 */
/*
 * rate.h - a limit on bytes per second, changed while running
 */
#ifndef TP_RATE_H
#define TP_RATE_H

#include <linux/atomic.h>
#include <linux/ktime.h>
#include <linux/math64.h>

#define TP_RATE_CREDIT_NS	(20 * NSEC_PER_MSEC)

/**
 * struct tp_rate - pacing by the time at which the next message may leave
 * @kbit: limit in kbit/s, 0: none; READ_ONCE
 * @next_ns: monotonic time before which nothing leaves
 *
 * What was sent moves @next_ns by the time it takes at the limit. Of time that
 * passed unused TP_RATE_CREDIT_NS are kept, which makes up for coarse timers.
 */
struct tp_rate {
	u32 kbit;
	atomic64_t next_ns;
};

/**
 * tp_rate_wait_ns - how long until something may leave
 * @r: the limit
 * @now: ktime_get_ns()
 *
 * Return: nanoseconds, 0: now.
 */
static inline u64 tp_rate_wait_ns(const struct tp_rate *r, u64 now)
{
	u64 next = atomic64_read(&r->next_ns);

	return READ_ONCE(r->kbit) && next > now ? next - now : 0;
}

/**
 * tp_rate_charge - something has left
 * @r: the limit
 * @bytes: how much
 * @now: ktime_get_ns()
 */
static inline void tp_rate_charge(struct tp_rate *r, u64 bytes, u64 now)
{
	u32 kbit = READ_ONCE(r->kbit);
	s64 old = atomic64_read(&r->next_ns);
	s64 floor = now - TP_RATE_CREDIT_NS;
	u64 cost;

	if (!kbit)
		return;
	/* bytes * 8 / (kbit * 1000) seconds */
	cost = div_u64(bytes * 8 * USEC_PER_SEC, kbit);
	while (!atomic64_try_cmpxchg(&r->next_ns, &old, max(old, floor) + cost))
		;
}

/**
 * tp_rate_set - change the limit
 * @r: the limit
 * @kbit: kbit/s, 0: none
 *
 * What was charged at the old limit is forgotten.
 */
static inline void tp_rate_set(struct tp_rate *r, u32 kbit)
{
	WRITE_ONCE(r->kbit, kbit);
	atomic64_set(&r->next_ns, 0);
}

#endif /* TP_RATE_H */
