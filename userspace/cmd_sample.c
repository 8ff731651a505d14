// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_sample.c - telepage workingset sample: which pages a VM uses, for a while
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cmd.h"
#include "fmt.h"
#include "sample.h"
#include "tojson.h"

struct sum {
	uint64_t pages, sampled, touched, faults;
};

/* until @ms are over, or somebody wants us to end: then the signal */
static int wait_ms(unsigned int ms, const sigset_t *ends)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	int sig;

	do
		sig = sigtimedwait(ends, NULL, &ts);
	while (sig < 0 && errno == EINTR);
	return sig < 0 ? 0 : sig;
}

static int begin_all(struct tp_nl *nl, const char *name, const struct tp_region_list *l,
		     uint32_t every)
{
	int err = 0;

	for (size_t i = 0; i < l->n && !err; i++)
		if (sample_is_of(l->v[i].name, name))
			err = tp_region_sample(nl, l->v[i].name, every, 0);
	return err;
}

static int add_up(struct tp_nl *nl, const char *name, const struct tp_region_list *l,
		  struct sum *sum)
{
	struct tp_sample st;
	int err = 0;

	for (size_t i = 0; i < l->n && !err; i++) {
		struct sample_set set;

		if (!sample_is_of(l->v[i].name, name))
			continue;
		err = sample_read(nl, l->v[i].name, &set, &st);
		sample_clear(&set);
		if (err)
			break;
		sum->pages += l->v[i].size / TELEPAGE_PAGE_SIZE;
		sum->sampled += st.sampled;
		sum->touched += st.touched;
		sum->faults += st.faults;
	}
	return err;
}

static uint64_t estimate(const struct sum *s)
{
	return s->sampled ? (double)s->touched * s->pages / s->sampled + 0.5 : 0;
}

static int show(const struct sample_args *a, const struct sum *s)
{
	char touched[TP_FMT_LEN], sampled[TP_FMT_LEN], all[TP_FMT_LEN], size[TP_FMT_LEN],
	     faults[TP_FMT_LEN], total[TP_FMT_LEN];
	uint64_t n = estimate(s);

	if (a->json)
		return tp_json_print(json_pack("{ss sI sI sI sI sI sI sI}", "name", a->name,
					       "pages", (json_int_t)s->pages,
					       "sampled", (json_int_t)s->sampled,
					       "touched", (json_int_t)s->touched,
					       "estimate", (json_int_t)n,
					       "faults", (json_int_t)s->faults,
					       "ms", (json_int_t)a->ms,
					       "every", (json_int_t)a->every));
	printf("%s of %s sampled pages were used in %u ms\n",
	       tp_fmt_count(touched, sizeof(touched), s->touched),
	       tp_fmt_count(sampled, sizeof(sampled), s->sampled), a->ms);
	printf("%s%s of %s pages in all (%s)\n", s->sampled < s->pages ? "about " : "",
	       tp_fmt_count(all, sizeof(all), n), tp_fmt_count(total, sizeof(total), s->pages),
	       tp_fmt_size(size, sizeof(size), n * TELEPAGE_PAGE_SIZE));
	printf("cost: %s faults\n", tp_fmt_count(faults, sizeof(faults), s->faults));
	return TP_OK;
}

static unsigned int count(const struct tp_region_list *l, const char *name)
{
	unsigned int n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += sample_is_of(l->v[i].name, name);
	return n;
}

int workingset_sample(const struct sample_args *a)
{
	struct tp_region_list l = { 0 };
	struct sum sum = { 0 };
	struct tp_nl *nl;
	int err, sig = 0, status = tp_open(&nl, "workingset");
	sigset_t ends;

	if (status)
		return status;
	err = tp_region_dump(nl, &l);
	if (!err && !count(&l, a->name)) {
		status = tp_fail("workingset sample %s: no region or VM of this name", a->name);
		goto out;
	}
	/* whoever ends us must not leave a sample behind */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (!err)
		err = begin_all(nl, a->name, &l, a->every);
	if (!err)
		sig = wait_ms(a->ms, &ends);
	if (!err && !sig)
		err = add_up(nl, a->name, &l, &sum);
	if (err)
		status = tp_fail_nl(nl, err, NULL, "workingset sample %s", a->name);
	begin_all(nl, a->name, &l, 0);
	sigprocmask(SIG_UNBLOCK, &ends, NULL);
	if (sig)
		raise(sig);
	if (!status)
		status = show(a, &sum);
out:
	tp_region_list_free(&l);
	tp_nl_close(nl);
	return status;
}
