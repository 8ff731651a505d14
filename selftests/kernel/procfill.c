// SPDX-License-Identifier: GPL-2.0
/*
 * procfill.c - a region that fills from the memory of a process, see procfill.h
 */
#include "procfill.h"

struct tk_pair fill_pair;
uint8_t *fill_map;
static unsigned long map_pages;

void fill_begin(struct proc *p, const struct tp_range *ranges, size_t n, bool push)
{
	int fd = proc_mem(p);
	uint32_t id;

	map_pages = 0;
	for (size_t i = 0; i < n; i++)
		map_pages += ranges[i].len / TK_PAGE;
	tk_events_forget();
	tk_ok(tp_export_new_pid(tk_nl, "p", "", p->pid, fd, ranges, n), "export");
	close(fd);
	tk_ok(tp_export_serve(tk_nl, "p", fill_pair.src, &id), "serve");
	tk_new("d", map_pages);
	tk_ok(tp_region_import(tk_nl, "d", fill_pair.dst, id, push), "import");
	fill_map = tk_map("d", map_pages, PROT_READ, MAP_SHARED);
}

void fill_abandon(void)
{
	int err = tp_region_abandon(tk_nl, "d");

	if (err && err != -EINVAL)
		tk_ok(err, "abandon");
}

void fill_end(void)
{
	tk_unmap(fill_map, map_pages);
	fill_abandon();
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "p"), "release");
}

bool fill_complete(void)
{
	return tk_event(TELEPAGE_EVENT_REGION_COMPLETE, "d", 0, NULL) && !tk_stat("d").absent;
}

bool fill_broken(int err)
{
	struct tp_event ev = { 0 };

	if (!tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, &ev))
		return false;
	if (ev.error != err || !*ev.reason)
		tap_note("%s: %s", strerror(ev.error), ev.reason);
	return ev.error == err && *ev.reason;
}

static int child_loads(void *arg)
{
	return tk_load(arg) == -SIGBUS ? 7 : 0;
}

pid_t fill_wants(unsigned long page)
{
	return tk_fork(child_loads, fill_map + PAGES(page));
}

void fill_give_up(pid_t pid)
{
	kill(pid, SIGKILL);
	tk_reap(pid);
}

uint64_t fill_anon(struct proc *p, unsigned long pages)
{
	uint64_t a = proc_must(p, P_MMAP, 0, PAGES(pages), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1UL);

	proc_do(p, P_MADVISE, a, PAGES(pages), MADV_NOHUGEPAGE);
	return a;
}

unsigned long fill_not_zero(unsigned long first, unsigned long pages)
{
	unsigned long n = 0;

	for (unsigned long i = first; i < first + pages; i++)
		n += !tk_is_zero(fill_map + PAGES(i), TK_PAGE);
	return n;
}

unsigned long fill_differ(unsigned long first, unsigned long pages, uint32_t seed,
			  unsigned long from)
{
	unsigned long n = 0;

	for (unsigned long i = 0; i < pages; i++)
		n += !tk_is_page(fill_map + PAGES(first + i), seed, from + i);
	return n;
}

unsigned long fill_came(unsigned long pages, uint32_t seed, unsigned long *wrong)
{
	unsigned long n = 0;

	for (unsigned long i = 0; i < pages; i++) {
		if (tk_load(fill_map + PAGES(i)) == -SIGBUS)
			continue;
		n++;
		*wrong += !tk_is_page(fill_map + PAGES(i), seed, i);
	}
	return n;
}
