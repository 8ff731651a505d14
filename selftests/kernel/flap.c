// SPDX-License-Identifier: GPL-2.0
/*
 * flap.c - a link whose lanes break all the time while a region fills
 *
 *	tk-flap [SECONDS]
 *
 * Guests read and write meanwhile. Nobody may ever see a wrong byte, no write may
 * be undone, and in the end the region is whole.
 */
#include <linux/falloc.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "tk.h"

#define NR	1024UL
#define BULK	3
#define READERS	4
#define SEED	1

static struct tk_pair pair;
static uint8_t *map;
static atomic_bool stop;
static atomic_ulong wrong, looked;

/* Pages of the readers; the rest is the writer's. */
static bool readers(unsigned long page)
{
	return page % 8 != 3;
}

static void *reader(void *arg)
{
	unsigned long x = (uintptr_t)arg + 1, page;

	while (!stop) {
		x = x * 6364136223846793005 + 1442695040888963407;
		page = (x >> 33) % NR;
		if (!readers(page))
			continue;
		if (!tk_is_page(map + page * TK_PAGE, SEED, page)) {
			tap_note("page %lu is wrong", page);
			wrong++;
		}
		looked++;
	}
	return NULL;
}

/* Writes, discards, and remembers what every one of its pages must be. */
static void *writer(void *arg)
{
	static uint8_t model[NR / 8][TK_PAGE];
	unsigned long x = 99, i;
	int fd = tk_open("d", O_RDWR);

	for (i = 0; i < NR / 8; i++)
		tk_page(model[i], SEED, i * 8 + 3);
	while (!stop) {
		uint8_t *m, *p;
		size_t at, len;

		x = x * 6364136223846793005 + 1442695040888963407;
		i = (x >> 33) % (NR / 8);
		m = model[i];
		p = map + (i * 8 + 3) * TK_PAGE;
		at = (x >> 20) % TK_PAGE;
		len = 1 + (x >> 10) % (TK_PAGE - at);
		switch (x >> 61) {
		case 0:
			if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      p - map, TK_PAGE))
				wrong++;
			memset(m, 0, TK_PAGE);
			break;
		case 1:
			memset(m + at, x >> 40, len);
			if (pwrite(fd, m + at, len, p - map + at) != (ssize_t)len)
				wrong++;
			break;
		default:
			memset(m + at, x >> 40, len);
			memset(p + at, x >> 40, len);
		}
		if (memcmp(m, p, TK_PAGE)) {
			tap_note("page %lu is not what was written", i * 8 + 3);
			wrong++;
		}
		looked++;
	}
	for (i = 0; i < NR / 8; i++)
		wrong += memcmp(model[i], map + (i * 8 + 3) * TK_PAGE, TK_PAGE) != 0;
	close(fd);
	return NULL;
}

static int kept[BULK + 1] = { -1, -1, -1, -1 };	/* sockets to shut down from here */

static void attach(unsigned int lane)
{
	int sv[2];

	tk_tcp_pair(sv, true);
	/* the slot may not be free yet at an end that has not noticed */
	if (!tk_until(tp_lane_attach(tk_nl, pair.src, lane, sv[0]) != -EBUSY) ||
	    !tk_until(tp_lane_attach(tk_nl, pair.dst, lane, sv[1]) != -EBUSY))
		tk_die("lane %u: its slot is never free", lane);
	kept[lane] = sv[0];
	close(sv[1]);
}

static void lose(unsigned int lane, unsigned int how)
{
	switch (how % 4) {
	case 0:
		tp_lane_detach(tk_nl, pair.src, lane);
		break;
	case 1:
		tp_lane_detach(tk_nl, pair.dst, lane);
		break;
	case 2:
		shutdown(kept[lane], SHUT_RDWR);
		break;
	default:
		/* one direction only: this end says that it sends no more */
		shutdown(kept[lane], SHUT_WR);
	}
	close(kept[lane]);
	kept[lane] = -1;
}

int main(int argc, char **argv)
{
	uint64_t end;
	unsigned long x = 7, losses = 0, rounds = 0, i;
	bool whole = true, clean = true;

	tk_init();
	tk_far("6ms", "rate 30mbit");
	tk_ok(tp_link_new(tk_nl, "", &pair.src), "link");
	tk_ok(tp_link_new(tk_nl, "", &pair.dst), "link");
	pair.far = true;
	for (i = 0; i <= BULK; i++)
		attach(i);
	end = tk_now_ms() + (argc > 1 ? atoi(argv[1]) : 20) * 1000;
	while (tk_now_ms() < end) {
		pthread_t t[READERS + 1];
		struct tp_region r;

		rounds++;
		tk_new("s", NR);
		tk_fill("s", 0, NR, SEED);
		tk_import(&pair, "s", "d", rounds % 4);
		map = tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
		stop = false;
		for (i = 0; i < READERS; i++)
			t[i] = tk_thread(reader, (void *)(rounds * READERS + i));
		t[READERS] = tk_thread(writer, NULL);
		tk_nap_ms(20);
		tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
		for (;;) {
			r = tk_stat("d");
			if (!r.absent || (rounds % 4 == 0 && tk_now_ms() >= end) ||
			    (rounds % 4 == 0 && r.absent < NR / 4))
				break;
			x = x * 6364136223846793005 + 1442695040888963407;
			tk_nap_ms((x >> 40) % 120);
			i = (x >> 33) % (BULK + 1);
			lose(i, x >> 50);
			losses++;
			tk_nap_ms((x >> 45) % 30);
			attach(i);
			if (tk_now_ms() > end + TK_LONG * 1000)
				break;
		}
		stop = true;
		for (i = 0; i <= READERS; i++)
			clean &= tk_join(t[i]);
		if (rounds % 4) {
			whole &= tk_wait_state("d", TELEPAGE_REGION_LOCAL);
			for (i = 0; i < NR; i++)
				wrong += readers(i) && !tk_is_page(map + i * TK_PAGE, SEED, i);
		}
		if (!clean || !whole)
			break;
		tk_unmap(map, NR);
		tk_import_end("s", "d");
	}
	tap_note("%lu regions, %lu lanes lost, %lu looks", rounds, losses, looked);
	tap_ok(clean, "nobody waits for ever");
	tap_ok(whole, "every region is whole in the end");
	tap_ok(!wrong, "nobody ever saw a wrong byte (%lu did)", wrong);
	if (clean && whole)
		tk_pair_close(&pair);
	return tap_done();
}
