// SPDX-License-Identifier: GPL-2.0
/*
 * move_dst_warm.c - a move's destination has the pages come that the VM needs first
 *
 * The source names them and their order. They are asked for ahead, by a replay, and the
 * answer to the source tells how many are here: when all are, or when the time is over for
 * which the VM may stand still for them.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "move_dst.h"

#define LOOK_MS		5

void mdst_warm_drop(struct mdst *m)
{
	timer_clear(&m->warm.timer);
	free(m->warm.page);
	m->warm.page = NULL;
	m->warm.nr = 0;
	m->warm.at = 0;
	m->warm.call = 0;
}

/* A page that is absent counts as data, as one that is here and not zero does. */
static bool page_here(int fd, uint64_t index)
{
	off_t at = index * GUEST_PAGE, data = lseek(fd, at, SEEK_DATA);
	unsigned char resident = 0;
	void *p;

	if (data < 0 || data >= at + (off_t)GUEST_PAGE)
		return data >= 0 || errno == ENXIO;
	p = mmap(NULL, GUEST_PAGE, PROT_READ, MAP_SHARED, fd, at);
	if (p == MAP_FAILED)
		return false;
	if (mincore(p, GUEST_PAGE, &resident))
		resident = 0;
	munmap(p, GUEST_PAGE);
	return resident & 1;
}

/* how many pages of the list are here from @at on; to the first that is not, unless @all */
static size_t count_here(const struct mdst *m, size_t at, bool all)
{
	unsigned int region = 0;
	size_t n = 0;
	int fd = -1;

	for (; at < m->warm.nr; at++) {
		if (fd < 0 || region != m->warm.page[at].region) {
			if (fd >= 0)
				close(fd);
			region = m->warm.page[at].region;
			fd = region_open(m->region[region].name);
		}
		if (fd >= 0 && page_here(fd, m->warm.page[at].index))
			n++;
		else if (!all)
			break;
	}
	if (fd >= 0)
		close(fd);
	return n;
}

static void look(void *arg)
{
	struct mdst *m = arg;
	uint64_t now = now_ms();
	json_int_t call = m->warm.call;
	size_t here;

	if (!m->peer || !call)
		return;
	m->warm.at += count_here(m, m->warm.at, false);
	if (m->warm.at < m->warm.nr && now < m->warm.until) {
		timer_set(&m->warm.timer, m->warm.until - now < LOOK_MS ? m->warm.until - now :
			  LOOK_MS, look, m);
		return;
	}
	here = m->warm.at + count_here(m, m->warm.at, true);
	m->warm.call = 0;
	peer_answer(m->peer, call, json_pack("{s:I, s:I, s:I}", "pages", (json_int_t)m->warm.nr,
					     "here", (json_int_t)here,
					     "ms", (json_int_t)(now - m->warm.begun)));
}

static void remember(struct mdst *m, unsigned int region, const struct telepage_run *run)
{
	for (uint64_t i = 0; i < run->count; i++)
		m->warm.page[m->warm.nr++] = (struct guest_page){ region, run->start + i };
}

/* asks for what is listed; NULL, or why not */
static const char *take(struct mdst *m, json_t *lists)
{
	static struct telepage_run runs[MOVE_WARM_PAGES];
	size_t room = MOVE_WARM_PAGES - m->warm.nr;
	int n, err;

	if (!json_is_array(lists) || json_array_size(lists) != m->nr)
		return "bad pages";
	if (!m->warm.page)
		m->warm.page = xcalloc(MOVE_WARM_PAGES, sizeof(*m->warm.page));
	for (unsigned int i = 0; i < m->nr; i++) {
		n = mdst_runs(json_array_get(lists, i), m->region[i].size / TELEPAGE_PAGE_SIZE,
			      runs, room, &room);
		if (n < 0)
			return "bad pages";
		if (!n)
			continue;
		err = tp_region_replay(agent.nl, m->region[i].name, runs, n);
		/* it does not fill any more: all of it is here */
		if (err && err != -EINVAL)
			return strerror(-err);
		for (int j = 0; j < n; j++)
			remember(m, i, &runs[j]);
	}
	return NULL;
}

void mdst_warm(struct mdst *m, json_int_t call, json_t *msg)
{
	json_t *wait = json_object_get(msg, "wait");
	json_int_t ms = json_integer_value(wait);
	const char *why = ms < 0 || ms > MOVE_WARM_MAX || (wait && !json_is_integer(wait)) ?
			  "bad wait" : take(m, json_object_get(msg, "pages"));

	if (why) {
		peer_refuse(m->peer, call, "%s", why);
		return;
	}
	/* while the VM still runs none can come */
	if (!ms) {
		peer_answer(m->peer, call, json_pack("{s:I}", "pages", (json_int_t)m->warm.nr));
		return;
	}
	m->warm.call = call;
	m->warm.begun = now_ms();
	m->warm.until = m->warm.begun + ms;
	look(m);
}
