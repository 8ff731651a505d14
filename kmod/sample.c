// SPDX-License-Identifier: GPL-2.0
/*
 * sample.c - which pages of a region are used, seen at the source
 *
 * A sample takes the page table entries of some chunks away, of whoever maps the region,
 * and writes down who faults one in again. What that says, and what not, what it costs and
 * why it is not exact at its first moment stands in Documentation/workingset.md.
 *
 * Faults find the sample through region->sample, under RCU. It is replaced and ended
 * under tp_ctl_mutex.
 */
#include <linux/bitmap.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "sample.h"
#include "telepage.h"
#include "trace.h"

#define TP_CHUNK	TELEPAGE_CHUNK_PAGES

struct tp_sample {
	u32 every;
	unsigned long nr_pages;		/* in the sample */
	u64 faults;			/* those of earlier samples */
	unsigned long *chunks;		/* which are in it; does not change */
	unsigned long *touched;		/* a bit for each page of the region; atomic */
};

static unsigned long tp_nr_chunks(const struct tp_region *r)
{
	return DIV_ROUND_UP(r->nr_pages, TP_CHUNK);
}

static bool tp_in_sample(const struct tp_sample *s, pgoff_t index)
{
	return test_bit(index / TP_CHUNK, s->chunks);
}

static void tp_sample_free(struct tp_sample *s)
{
	if (!s)
		return;
	kvfree(s->chunks);
	kvfree(s->touched);
	kfree(s);
}

/* One chunk of each @every; the last ones, which may be fewer, have one as well. */
static void tp_sample_choose(struct tp_sample *s, unsigned long nr_pages, u32 seed)
{
	unsigned long nr = DIV_ROUND_UP(nr_pages, TP_CHUNK), group, chunk;
	u32 n;

	for (group = 0; group < nr; group += n) {
		n = min_t(unsigned long, s->every, nr - group);
		/* not the same one everywhere, for guests have patterns of their own */
		chunk = group + (hash_long(group, 16) + seed) % n;
		__set_bit(chunk, s->chunks);
		s->nr_pages += min_t(unsigned long, TP_CHUNK, nr_pages - chunk * TP_CHUNK);
	}
}

static struct tp_sample *tp_sample_new(struct tp_region *r, u32 every, u32 seed)
{
	struct tp_sample *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;

	if (!s)
		return NULL;
	s->every = every;
	s->chunks = kvcalloc(BITS_TO_LONGS(tp_nr_chunks(r)), sizeof(long), gfp);
	s->touched = kvcalloc(BITS_TO_LONGS(r->nr_pages), sizeof(long), gfp);
	if (!s->chunks || !s->touched) {
		tp_sample_free(s);
		return NULL;
	}
	tp_sample_choose(s, r->nr_pages, seed);
	return s;
}

static struct tp_sample *tp_sample_of(const struct tp_region *r)
{
	return rcu_dereference_protected(r->sample, lockdep_is_held(&tp_ctl_mutex));
}

/* Nobody looks at the sample before any more, nor maps around as it allowed. */
static void tp_sample_set(struct tp_region *r, struct tp_sample *s)
{
	struct tp_sample *old = tp_sample_of(r);

	rcu_assign_pointer(r->sample, s);
	synchronize_rcu();
	tp_sample_free(old);
}

/**
 * tp_sample_end - sample a region no more
 * @r: the region
 *
 * Context: sleeps; under tp_ctl_mutex.
 */
void tp_sample_end(struct tp_region *r)
{
	lockdep_assert_held(&tp_ctl_mutex);
	if (tp_sample_of(r))
		tp_sample_set(r, NULL);
}

/*
 * Each chunk alone, though they may be neighbours: who faults in what is being unmapped
 * waits, a guest of KVM for the whole range of one call.
 */
static int tp_sample_unmap(struct tp_region *r, const struct tp_sample *s)
{
	unsigned long chunk;

	for_each_set_bit(chunk, s->chunks, tp_nr_chunks(r)) {
		unmap_mapping_pages(r->inode.i_mapping, chunk * TP_CHUNK, TP_CHUNK, false);
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/**
 * tp_sample_begin - sample a region, from now on and from the start
 * @r: the region
 * @every: one chunk of so many, not 0
 * @seed: which of them
 * @extack: where to say why not
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0; -EBUSY, -EAGAIN, -ENOMEM: all is as it was; -EINTR: there is no sample.
 */
int tp_sample_begin(struct tp_region *r, u32 every, u32 seed, struct netlink_ext_ack *extack)
{
	struct tp_sample *s;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (r->bridged) {
		NL_SET_ERR_MSG(extack, "the region's pages are in a VMM's own memory");
		return -EBUSY;
	}
	if (tp_is_live(r)) {
		NL_SET_ERR_MSG(extack, "the region's own source still writes to it");
		return -EAGAIN;
	}
	s = tp_sample_new(r, every, seed);
	if (!s) {
		NL_SET_ERR_MSG(extack, "no memory for sampling a region of this size");
		return -ENOMEM;
	}
	s->faults = tp_stat_read(r, TP_STAT_SAMPLE_FAULTS);
	tp_sample_set(r, s);
	err = tp_sample_unmap(r, s);
	trace_telepage_sample(r, every, s->nr_pages);
	if (err)
		tp_sample_end(r);
	return err;
}

/**
 * tp_sample_read - what a sample has seen
 * @r: the region
 * @start: page from which on to read, in range
 * @runs: where to: used pages
 * @nr: how many runs there is room for; how many there were
 * @st: the sample in numbers
 *
 * Context: under tp_ctl_mutex. Bits are set meanwhile.
 * Return: 0, or -ENODATA: there is no sample.
 */
int tp_sample_read(struct tp_region *r, pgoff_t start, struct telepage_run *runs,
		   unsigned int *nr, struct tp_sample_stat *st)
{
	struct tp_sample *s = tp_sample_of(r);
	unsigned long i = start, end;
	unsigned int n = 0;

	lockdep_assert_held(&tp_ctl_mutex);
	if (!s)
		return -ENODATA;
	st->every = s->every;
	st->sampled = s->nr_pages;
	/* what is set meanwhile is told now or the next time */
	st->touched = data_race(bitmap_weight(s->touched, r->nr_pages));
	st->faults = tp_stat_read(r, TP_STAT_SAMPLE_FAULTS) - s->faults;
	for (; n < *nr; i = end) {
		i = tp_find_next_bit(s->touched, r->nr_pages, i);
		if (i >= r->nr_pages)
			break;
		end = tp_find_next_zero_bit(s->touched, r->nr_pages, i);
		runs[n++] = (struct telepage_run){ .start = i, .count = end - i };
	}
	*nr = n;
	return 0;
}

/**
 * tp_sample_touch_slow - a page is about to be mapped, or written to through a mapping
 * @r: the region
 * @index: page, in range
 * @fault: is it a fault that there is because of the sample?
 *
 * Context: under the folio's lock.
 */
void tp_sample_touch_slow(struct tp_region *r, pgoff_t index, bool fault)
{
	struct tp_sample *s;

	rcu_read_lock();
	s = rcu_dereference(r->sample);
	if (s && tp_in_sample(s, index)) {
		if (fault)
			tp_stat_inc(r, TP_STAT_SAMPLE_FAULTS);
		if (!test_bit(index, s->touched))
			set_bit(index, s->touched);
	}
	rcu_read_unlock();
}

/**
 * tp_sample_clip_slow - which neighbours may be mapped along with a page
 * @r: the region
 * @index: the page
 * @first: first page to be mapped, at most @index
 * @last: last one, at least @index
 *
 * Context: within the RCU section in which they are mapped.
 * Return: may any? Not if the page itself is in the sample.
 */
bool tp_sample_clip_slow(struct tp_region *r, pgoff_t index, pgoff_t *first, pgoff_t *last)
{
	struct tp_sample *s = rcu_dereference(r->sample);
	pgoff_t chunk;

	if (!s || index >= r->nr_pages)
		return true;
	if (tp_in_sample(s, index))
		return false;
	for (chunk = index / TP_CHUNK; chunk > *first / TP_CHUNK; chunk--)
		if (test_bit(chunk - 1, s->chunks)) {
			*first = chunk * TP_CHUNK;
			break;
		}
	*last = min(*last, r->nr_pages - 1);
	for (chunk = index / TP_CHUNK; chunk < *last / TP_CHUNK; chunk++)
		if (test_bit(chunk + 1, s->chunks)) {
			*last = (chunk + 1) * TP_CHUNK - 1;
			break;
		}
	return true;
}

/**
 * tp_sample_evict - free the sample of a region that goes
 * @r: being evicted
 */
void tp_sample_evict(struct tp_region *r)
{
	/* nobody maps it, and nobody can find it */
	tp_sample_free(rcu_dereference_protected(r->sample, true));
}
