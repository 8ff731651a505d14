// SPDX-License-Identifier: GPL-2.0
/*
 * pin.c - a page that stays pinned
 *
 * The page is copied to one that nobody gives: it stays pinned while the copy waits for that.
 */
#include <sys/uio.h>

#include "pin.h"

static void *copy_page(void *arg)
{
	struct pin *p = arg;
	struct iovec to = { .iov_base = p->to, .iov_len = TK_PAGE };
	struct iovec of = { .iov_base = p->of, .iov_len = TK_PAGE };

	if (process_vm_readv(getpid(), &to, 1, &of, 1, 0) > 0)
		tk_die("a page has come from nowhere");
	return NULL;
}

void pin_begin(struct pin *p, const char *name, unsigned long pages)
{
	p->pages = pages;
	tk_ok(tp_link_new(tk_nl, "", &p->nowhere), "link");
	tk_new("x", 1);
	tk_ok(tp_region_import(tk_nl, "x", p->nowhere, 1, false), "import");
	p->of = tk_map(name, pages, PROT_READ | PROT_WRITE, MAP_SHARED);
	p->to = tk_map("x", 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	p->t = tk_thread(copy_page, p);
	tk_until(tk_stat("x").stats.faults);
}

void pin_end(struct pin *p)
{
	tk_ok(tp_region_abandon(tk_nl, "x"), "abandon");
	pthread_join(p->t, NULL);
}

void pin_close(struct pin *p)
{
	tk_unmap(p->of, p->pages);
	tk_unmap(p->to, 1);
	tk_del("x");
	tk_ok(tp_link_del(tk_nl, p->nowhere), "link del");
}
