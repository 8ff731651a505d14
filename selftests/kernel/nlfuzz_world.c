// SPDX-License-Identifier: GPL-2.0
/*
 * nlfuzz_world.c - what messages speak of, and a good message for each operation,
 * see nlfuzz.h
 *
 * The witness is what no message speaks of, beside all of that: a region that is
 * here and one that fills, over links of its own. Everything else is made for a
 * message and swept away.
 */
#include <gnutls/crypto.h>
#include <stdio.h>
#include <sys/socket.h>

#include "nlfuzz.h"

#define PAGES	16UL
#define FILLING	1024UL		/* pages of the region that fills */
#define IMAGE	3		/* seeds of content */
#define HERE	4
#define FAR	5

/* ---- the witness ---- */

static struct tk_pair witness;
static uint8_t *here, *filling;
static unsigned long filled;
static int far_file;

static int file_of(const char *name, unsigned long pages, uint32_t seed)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	uint8_t page[TK_PAGE];
	unsigned long i;

	for (i = 0; i < pages; i++) {
		tk_page(page, seed, i);
		if (pwrite(fd, page, TK_PAGE, i * TK_PAGE) != TK_PAGE)
			tk_die("%s: %m", name);
	}
	return fd;
}

void fz_witness_open(void)
{
	uint32_t id;

	tk_pair_open(&witness, 1, false);
	tk_new("witness", PAGES);
	tk_fill("witness", 0, PAGES, HERE);
	here = tk_map("witness", PAGES, PROT_READ, MAP_SHARED);
	far_file = file_of("far", FILLING, FAR);
	tk_ok(tp_export_new_fd(tk_nl, "witness", far_file, 0, 0), "export");
	tk_ok(tp_export_serve(tk_nl, "witness", witness.src, &id), "serve");
	tk_new("witness-fills", FILLING);
	tk_ok(tp_region_import(tk_nl, "witness-fills", witness.dst, id, false), "import");
	filling = tk_map("witness-fills", FILLING, PROT_READ, MAP_SHARED);
	filled = 0;
}

bool fz_witness_good(void)
{
	unsigned long more = FILLING - filled < 8 ? FILLING - filled : 8;
	unsigned long bad = tk_wrong(here, 0, PAGES, HERE) +
			    tk_wrong(filling, filled, more, FAR);

	/* from the other end again: what came long ago is still right */
	bad += tk_wrong(filling, 0, filled < 8 ? filled : 8, FAR);
	/* the last pages stay absent, so that it fills to the end */
	if (filled + more < FILLING - 8)
		filled += more;
	return !bad;
}

bool fz_witness_close(void)
{
	struct tp_region r = tk_stat("witness-fills");
	bool good = r.state == TELEPAGE_REGION_FILLING && r.absent;

	good &= !tk_wrong(here, 0, PAGES, HERE) && !tk_wrong(filling, 0, FILLING, FAR);
	good &= tk_wait_state("witness-fills", TELEPAGE_REGION_LOCAL);
	tk_unmap(here, PAGES);
	tk_unmap(filling, FILLING);
	tk_del("witness-fills");
	tk_ok(tp_export_del(tk_nl, "witness"), "release");
	tk_del("witness");
	tk_pair_close(&witness);
	close(far_file);
	return good;
}

bool fz_witness_hurt(const struct fz_msg *m)
{
	size_t i;

	if (m->cmd != TELEPAGE_CMD_LANE_DETACH && m->cmd != TELEPAGE_CMD_LANE_ATTACH &&
	    m->cmd != TELEPAGE_CMD_LINK_DEL)
		return false;
	/* where the number of a link can be, whatever comes before it */
	for (i = 0; i + 8 <= m->len; i += NLA_ALIGNTO) {
		const struct nlattr *a = (const void *)(m->attrs + i);
		uint32_t id;

		memcpy(&id, m->attrs + i + NLA_HDRLEN, sizeof(id));
		if ((a->nla_type & NLA_TYPE_MASK) == TELEPAGE_A_LINK_ID &&
		    (id == witness.src || id == witness.dst))
			return true;
	}
	return false;
}

/* ---- the rest of the world ---- */

static struct {
	struct tk_pair pair;		/* between which "fz-fills" fills */
	uint32_t link, export_id;
	int file;			/* 0: not there, as for all of these */
	int sock[2];
	int mem;			/* a VMM's /proc/PID/mem */
	struct vmm vmm[2];		/* one to attach, one that is */
	bool has_vmm[2];
} w;

static void a_pair(void)
{
	tk_pair_open(&w.pair, 1, false);
}

static void a_link(void)
{
	tk_ok(tp_link_new(tk_nl, "nobody", &w.link), "link");
}

static void a_link_and_socket(void)
{
	a_link();
	tk_tcp_pair(w.sock, false);
}

static void a_lane(void)
{
	a_link_and_socket();
	tk_ok(tp_lane_attach(tk_nl, w.link, 3, w.sock[0]), "attach");
}

static void a_file(void)
{
	w.file = file_of("fz", PAGES, IMAGE);
}

static void a_region(void)
{
	tk_new("fz-here", PAGES);
	tk_fill("fz-here", 0, PAGES / 2, IMAGE);
}

static void a_sampled_region(void)
{
	a_region();
	tk_ok(tp_region_sample(tk_nl, "fz-here", 1, 0), "sample");
}

static void a_frozen_region(void)
{
	a_region();
	tk_ok(tp_region_freeze(tk_nl, "fz-here"), "freeze");
}

static void an_empty_region(void)
{
	tk_new("fz-new", PAGES);
}

static void an_export(void)
{
	a_file();
	tk_ok(tp_export_new_fd(tk_nl, "fz-file", w.file, 0, 0), "export");
}

static void a_link_and_export(void)
{
	a_link();
	an_export();
}

/* what can be imported, and where */
static void a_source(void)
{
	a_pair();
	an_export();
	tk_ok(tp_export_serve(tk_nl, "fz-file", w.pair.src, &w.export_id), "serve");
}

static void a_source_and_region(void)
{
	a_source();
	an_empty_region();
}

/* a region that is written to, and where it can be imported */
static void a_live_source(void)
{
	a_pair();
	a_region();
	tk_ok(tp_export_new_region(tk_nl, "fz-live", "fz-here"), "export");
	tk_ok(tp_export_serve(tk_nl, "fz-live", w.pair.src, &w.export_id), "serve");
}

static void a_live_source_and_region(void)
{
	a_live_source();
	an_empty_region();
}

static void a_filling_region(void)
{
	a_source();
	tk_new("fz-fills", PAGES);
	tk_ok(tp_region_import(tk_nl, "fz-fills", w.pair.dst, w.export_id, false), "import");
}

static void a_region_with_files(void)
{
	struct tp_extent e = { .count = PAGES };

	a_filling_region();
	tk_ok(tp_region_origin(tk_nl, "fz-fills", w.file, &e, 1, false, false), "origin");
}

/* the digests of what "file" has */
static void digests_of(uint8_t *digest, unsigned long start, unsigned long count)
{
	uint8_t page[TK_PAGE];
	unsigned long i;

	for (i = 0; i < count; i++, digest += TELEPAGE_DIGEST_SIZE) {
		tk_page(page, IMAGE, start + i);
		if (gnutls_hash_fast(GNUTLS_DIG_SHA256, page, sizeof(page), digest))
			tk_die("sha256");
	}
}

/* what comes behind them in the file can be made one with them */
static void a_region_with_some_files(void)
{
	uint8_t digests[2 * TELEPAGE_DIGEST_SIZE];
	struct tp_extent e = { .count = 2, .digests = digests };

	digests_of(digests, 0, 2);
	a_filling_region();
	tk_ok(tp_region_origin(tk_nl, "fz-fills", w.file, &e, 1, false, false), "origin");
}

static void an_empty_region_and_file(void)
{
	an_empty_region();
	a_file();
}

static void a_vmm(unsigned int n)
{
	if (!vmm_start(&w.vmm[n], VMM_ANON, PAGES, 0))
		tk_die("no VMM");
	w.has_vmm[n] = true;
}

static void a_process(void)
{
	char path[64];

	a_vmm(0);
	snprintf(path, sizeof(path), "/proc/%d/mem", w.vmm[0].pid);
	w.mem = open(path, O_RDONLY | O_CLOEXEC);
	if (w.mem < 0)
		tk_die("%s: %m", path);
}

static void a_vmm_and_region(void)
{
	a_vmm(0);
	tk_new("fz-vmm", PAGES);
	tk_fill("fz-vmm", 0, PAGES / 2, IMAGE);
}

static void an_attached_vmm(void)
{
	a_vmm(1);
	tk_new("fz-served", PAGES);
	tk_fill("fz-served", 0, PAGES / 2, IMAGE);
	if (vmm_attach(&w.vmm[1], "fz-served", true))
		tk_die("attach: %s", vmm_words);
	if (!tk_until(!tk_stat("fz-served").resident))
		tk_die("the VMM does not get its pages");
}

static void nothing(void)
{
}

void fz_world_open(void)
{
	a_lane();
	a_frozen_region();
	a_filling_region();
	an_empty_region();
	a_process();
	tk_new("fz-vmm", PAGES);
	tk_fill("fz-vmm", 0, PAGES / 2, IMAGE);
	an_attached_vmm();
}

static void close_all(void)
{
	int *fds[] = { &w.file, &w.sock[0], &w.sock[1], &w.mem };
	unsigned int i;

	for (i = 0; i < 4; i++)
		if (*fds[i] > 0)
			close(*fds[i]);
	for (i = 0; i < 2; i++)
		if (w.has_vmm[i])
			vmm_stop(&w.vmm[i]);
	memset(&w, 0, sizeof(w));
}

static bool ours(const char *name)
{
	return strncmp(name, "witness", 7);
}

static bool del_region(const char *name)
{
	int err = tp_region_del(tk_nl, name);

	/* a VMM that has ended, or a page just under way */
	if (err == -EBUSY)
		tp_region_abandon(tk_nl, name);
	return err != -EBUSY;
}

bool fz_world_close(void)
{
	struct tp_region_list regions;
	struct tp_export_list exports;
	struct tp_link_list links;
	bool good = true;
	size_t i;

	close_all();
	tk_ok(tp_export_dump(tk_nl, &exports), "dump");
	for (i = 0; i < exports.n; i++)
		if (ours(exports.v[i].name))
			good &= !tp_export_del(tk_nl, exports.v[i].name);
	tp_export_list_free(&exports);
	tk_ok(tp_region_dump(tk_nl, &regions), "dump");
	for (i = 0; i < regions.n; i++)
		if (ours(regions.v[i].name) && !tk_until(del_region(regions.v[i].name))) {
			tap_note("%s: %s", regions.v[i].name, tp_nl_error(tk_nl));
			good = false;
		}
	tp_region_list_free(&regions);
	tk_ok(tp_link_dump(tk_nl, &links), "dump");
	for (i = 0; i < links.n; i++)
		if (links.v[i].id != witness.src && links.v[i].id != witness.dst)
			good &= !tp_link_del(tk_nl, links.v[i].id);
	tp_link_list_free(&links);
	return good;
}

static bool page_is(const uint8_t *page, unsigned long i, bool full)
{
	return full ? tk_is_page(page, IMAGE, i) : tk_is_zero(page, TK_PAGE);
}

static unsigned long region_wrong(const struct tp_region *r, uint32_t full)
{
	int fd = tk_open(r->name, O_RDONLY);
	unsigned long i, wrong = 0;
	uint8_t page[TK_PAGE];

	for (i = 0; i < PAGES; i++) {
		ssize_t n = pread(fd, page, TK_PAGE, i * TK_PAGE);

		if (n < 0 && errno == EIO && r->state == TELEPAGE_REGION_ABANDONED)
			continue;
		wrong += n != TK_PAGE || !page_is(page, i, full & 1U << i);
	}
	close(fd);
	return wrong;
}

static unsigned long vmm_wrong(const struct vmm *v)
{
	return vmm_do(v, VMM_CHECK, 0, PAGES / 2, IMAGE) != 0 ||
	       vmm_do(v, VMM_NONZERO, PAGES / 2, PAGES / 2, 0);
}

unsigned long fz_world_wrong(uint32_t new)
{
	const uint32_t all = (1U << PAGES) - 1, half = all >> PAGES / 2;
	struct tp_region_list l;
	unsigned long wrong = 0;
	struct tp_uffd bridge;
	size_t i;

	tk_ok(tp_region_dump(tk_nl, &l), "dump");
	for (i = 0; i < l.n; i++) {
		const char *name = l.v[i].name;

		if (!strcmp(name, "fz-here")) {
			wrong += region_wrong(&l.v[i], half);
		} else if (!strcmp(name, "fz-fills")) {
			wrong += region_wrong(&l.v[i], all);
		} else if (!strcmp(name, "fz-more")) {
			wrong += region_wrong(&l.v[i], 0);
		} else if (!strcmp(name, "fz-new")) {
			/* nobody sees a page before the source has said that it is the last round */
			if (l.v[i].live) {
				tk_ok(tp_export_round(tk_nl, "fz-live", NULL), "round");
				tk_ok(tp_region_freeze(tk_nl, "fz-here"), "freeze");
			}
			wrong += region_wrong(&l.v[i], new);
		}
	}
	tp_region_list_free(&l);
	/* one whose faults nobody serves waits for ever */
	if (w.has_vmm[0] && !tp_uffd_get(tk_nl, "fz-vmm", &bridge))
		wrong += vmm_wrong(&w.vmm[0]);
	if (w.has_vmm[1])
		wrong += vmm_wrong(&w.vmm[1]);
	return wrong;
}

void fz_prepare(const struct fz_good *g, struct fz_msg *m)
{
	if (!fz_world_close())
		tk_die("%s: what it speaks of cannot be deleted", g->name);
	g->prepare();
	fz_begin(m, g->cmd, g->dump);
	g->build(m);
}

/* ---- good messages ---- */

static void region_new(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_REGION_NAME, "fz-more");
	fz_u64(m, TELEPAGE_A_REGION_SIZE, PAGES * TK_PAGE);
	fz_u32(m, TELEPAGE_A_REGION_MODE, 0640);
	fz_u32(m, TELEPAGE_A_REGION_UID, 1);
	fz_u32(m, TELEPAGE_A_REGION_GID, 1);
}

static void region_here(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_REGION_NAME, "fz-here");
}

static void region_dirty(struct fz_msg *m)
{
	region_here(m);
	fz_u64(m, TELEPAGE_A_REGION_START, 0);
	fz_u64(m, TELEPAGE_A_REGION_COUNT, PAGES);
	fz_put(m, TELEPAGE_A_REGION_CLEAR, "", 0);
}

static void region_import(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_REGION_NAME, "fz-new");
	fz_u32(m, TELEPAGE_A_REGION_LINK, w.pair.dst);
	fz_u32(m, TELEPAGE_A_REGION_EXPORT_ID, w.export_id);
	fz_u8(m, TELEPAGE_A_REGION_PUSH, 1);
}

static void region_import_live(struct fz_msg *m)
{
	region_import(m);
	fz_put(m, TELEPAGE_A_REGION_LIVE, "", 0);
}

static void region_fills(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_REGION_NAME, "fz-fills");
}

static void region_touched(struct fz_msg *m)
{
	region_fills(m);
	fz_u64(m, TELEPAGE_A_REGION_START, 0);
}

static void region_replay(struct fz_msg *m)
{
	const struct telepage_run runs[] = { { .start = 3, .count = 2 }, { .count = 1 } };

	region_fills(m);
	fz_put(m, TELEPAGE_A_REGION_RUNS, runs, sizeof(runs));
}

static void region_replay_local(struct fz_msg *m)
{
	region_replay(m);
	fz_put(m, TELEPAGE_A_REGION_LOCAL, "", 0);
}

static void region_sample(struct fz_msg *m)
{
	region_here(m);
	fz_u32(m, TELEPAGE_A_REGION_EVERY, 1);
	fz_u32(m, TELEPAGE_A_REGION_SEED, 1);
}

static void region_sampled(struct fz_msg *m)
{
	region_here(m);
	fz_u64(m, TELEPAGE_A_REGION_START, 0);
}

static void export_order(struct fz_msg *m)
{
	const struct telepage_run runs[] = { { .start = 1, .count = 1 }, { .count = 1 } };

	fz_str(m, TELEPAGE_A_EXPORT_NAME, "fz-file");
	fz_u64(m, TELEPAGE_A_EXPORT_START, 0);
	fz_put(m, TELEPAGE_A_EXPORT_RUNS, runs, sizeof(runs));
}

static void export_order_more(struct fz_msg *m)
{
	export_order(m);
	fz_put(m, TELEPAGE_A_EXPORT_MORE, "", 0);
}

static void export_region(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_EXPORT_NAME, "fz-more");
	fz_str(m, TELEPAGE_A_EXPORT_REGION, "fz-here");
	fz_str(m, TELEPAGE_A_EXPORT_PEER, "somebody");
}

static void export_file(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_EXPORT_NAME, "fz-more");
	fz_u32(m, TELEPAGE_A_EXPORT_FD, w.file);
	fz_u64(m, TELEPAGE_A_EXPORT_OFFSET, TK_PAGE);
	fz_u64(m, TELEPAGE_A_EXPORT_SIZE, 2 * TK_PAGE);
}

static void export_process(struct fz_msg *m)
{
	unsigned int i;

	fz_str(m, TELEPAGE_A_EXPORT_NAME, "fz-more");
	fz_u32(m, TELEPAGE_A_EXPORT_PID, w.vmm[0].pid);
	fz_u32(m, TELEPAGE_A_EXPORT_MEM_FD, w.mem);
	for (i = 0; i < 2; i++) {
		size_t at = fz_nest(m, TELEPAGE_A_EXPORT_RANGE);

		fz_u64(m, TELEPAGE_A_RANGE_ADDR, w.vmm[0].addr + i * 4 * TK_PAGE);
		fz_u64(m, TELEPAGE_A_RANGE_LEN, 2 * TK_PAGE);
		fz_nest_end(m, at);
	}
}

static void export_name(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_EXPORT_NAME, "fz-file");
}

static void export_live(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_EXPORT_NAME, "fz-live");
}

static void export_serve(struct fz_msg *m)
{
	export_name(m);
	fz_u32(m, TELEPAGE_A_EXPORT_LINK, w.link);
}

static void link_note(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_LINK_PEER, "a note");
}

static void link_id(struct fz_msg *m)
{
	fz_u32(m, TELEPAGE_A_LINK_ID, w.link);
}

static void link_set(struct fz_msg *m)
{
	link_id(m);
	link_note(m);
}

static void lane_attach(struct fz_msg *m)
{
	link_id(m);
	fz_u32(m, TELEPAGE_A_LINK_LANE, 3);
	fz_u32(m, TELEPAGE_A_LINK_FD, w.sock[0]);
}

static void lane_detach(struct fz_msg *m)
{
	link_id(m);
	fz_u32(m, TELEPAGE_A_LINK_LANE, 3);
}

static void uffd_attach(struct fz_msg *m)
{
	size_t at;

	fz_str(m, TELEPAGE_A_UFFD_REGION, "fz-vmm");
	fz_u32(m, TELEPAGE_A_UFFD_FD, w.vmm[0].fd);
	fz_u32(m, TELEPAGE_A_UFFD_PID, w.vmm[0].pid);
	fz_u8(m, TELEPAGE_A_UFFD_FILL, 1);
	at = fz_nest(m, TELEPAGE_A_UFFD_RANGES);
	fz_u64(m, TELEPAGE_A_RANGE_ADDR, w.vmm[0].addr);
	fz_u64(m, TELEPAGE_A_RANGE_LEN, PAGES * TK_PAGE);
	fz_u64(m, TELEPAGE_A_RANGE_OFFSET, 0);
	fz_u32(m, TELEPAGE_A_RANGE_PAGE_SIZE, TK_PAGE);
	fz_nest_end(m, at);
}

static void uffd_served(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_UFFD_REGION, "fz-served");
}

static void extent(struct fz_msg *m, uint16_t type, unsigned long start, unsigned long count,
		   bool file)
{
	uint8_t digests[PAGES * TELEPAGE_DIGEST_SIZE];
	size_t at = fz_nest(m, type);

	fz_u64(m, TELEPAGE_A_EXTENT_START, start);
	fz_u64(m, TELEPAGE_A_EXTENT_COUNT, count);
	if (file) {
		fz_u64(m, TELEPAGE_A_EXTENT_OFFSET, start * TK_PAGE);
		digests_of(digests, start, count);
		fz_put(m, TELEPAGE_A_EXTENT_DIGESTS, digests, count * TELEPAGE_DIGEST_SIZE);
	}
	fz_nest_end(m, at);
}

static void origin_alone(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_ORIGIN_REGION, "fz-new");
	fz_u32(m, TELEPAGE_A_ORIGIN_FD, w.file);
	extent(m, TELEPAGE_A_ORIGIN_EXTENT, 0, 4, true);
	extent(m, TELEPAGE_A_ORIGIN_EXTENT, 8, 2, true);
	fz_put(m, TELEPAGE_A_ORIGIN_REPLACE, "", 0);
	fz_put(m, TELEPAGE_A_ORIGIN_FILL, "", 0);
}

static void origin_beside(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_ORIGIN_REGION, "fz-fills");
	fz_u32(m, TELEPAGE_A_ORIGIN_FD, w.file);
	/* one, in the end */
	extent(m, TELEPAGE_A_ORIGIN_EXTENT, 4, 2, true);
	extent(m, TELEPAGE_A_ORIGIN_EXTENT, 2, 2, true);
}

static void origin_plan(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_ORIGIN_REGION, "fz-new");
	fz_put(m, TELEPAGE_A_ORIGIN_HOLD, "", 0);
	fz_u32(m, TELEPAGE_A_ORIGIN_FD, w.file);
	extent(m, TELEPAGE_A_ORIGIN_EXTENT, 0, 4, true);
	fz_put(m, TELEPAGE_A_ORIGIN_READY, "", 0);
	fz_u64(m, TELEPAGE_A_ORIGIN_PLANNED, 4);
}

static void origin_drop(struct fz_msg *m)
{
	fz_str(m, TELEPAGE_A_ORIGIN_REGION, "fz-fills");
	extent(m, TELEPAGE_A_ORIGIN_DROP, 2, 4, false);
}

static void all(struct fz_msg *m)
{
}

#define GOOD(_cmd, _name, _prepare, _build) \
	{ .cmd = TELEPAGE_CMD_##_cmd, .name = _name, .prepare = _prepare, .build = _build }
#define LASTING(_cmd, _name, _prepare, _build) \
	{ .cmd = TELEPAGE_CMD_##_cmd, .name = _name, .prepare = _prepare, .build = _build, \
	  .lasting = true }
#define DUMP(_cmd, _name) \
	{ .cmd = TELEPAGE_CMD_##_cmd, .name = _name, .prepare = nothing, .build = all, \
	  .dump = true, .lasting = true }

const struct fz_good fz_goods[] = {
	GOOD(REGION_NEW, "region-new", nothing, region_new),
	GOOD(REGION_DEL, "region-del", a_region, region_here),
	LASTING(REGION_GET, "region-get", a_region, region_here),
	DUMP(REGION_GET, "region-get, all"),
	LASTING(REGION_FREEZE, "region-freeze", a_region, region_here),
	LASTING(REGION_THAW, "region-thaw", a_frozen_region, region_here),
	LASTING(REGION_DIRTY, "region-dirty", a_region, region_dirty),
	GOOD(REGION_IMPORT, "region-import", a_source_and_region, region_import),
	GOOD(REGION_IMPORT, "region-import, live", a_live_source_and_region, region_import_live),
	GOOD(REGION_ABANDON, "region-abandon", a_filling_region, region_fills),
	LASTING(REGION_TOUCHED, "region-touched", a_filling_region, region_touched),
	LASTING(REGION_REPLAY, "region-replay", a_filling_region, region_replay),
	LASTING(REGION_REPLAY, "region-replay, local", a_region_with_files, region_replay_local),
	LASTING(REGION_SAMPLE, "region-sample", a_region, region_sample),
	LASTING(REGION_SAMPLED, "region-sampled", a_sampled_region, region_sampled),
	GOOD(EXPORT_NEW, "export-new of a region", a_region, export_region),
	GOOD(EXPORT_NEW, "export-new of a file", a_file, export_file),
	GOOD(EXPORT_NEW, "export-new of a process", a_process, export_process),
	GOOD(EXPORT_DEL, "export-del", an_export, export_name),
	LASTING(EXPORT_GET, "export-get", an_export, export_name),
	DUMP(EXPORT_GET, "export-get, all"),
	GOOD(EXPORT_SERVE, "export-serve", a_link_and_export, export_serve),
	GOOD(EXPORT_ROUND, "export-round", a_live_source, export_live),
	LASTING(EXPORT_ORDER, "export-order", an_export, export_order),
	LASTING(EXPORT_ORDER, "export-order, of more parts", an_export, export_order_more),
	GOOD(LINK_NEW, "link-new", nothing, link_note),
	GOOD(LINK_DEL, "link-del", a_link, link_id),
	LASTING(LINK_GET, "link-get", a_link, link_id),
	DUMP(LINK_GET, "link-get, all"),
	LASTING(LINK_SET, "link-set", a_link, link_set),
	GOOD(LANE_ATTACH, "lane-attach", a_link_and_socket, lane_attach),
	GOOD(LANE_DETACH, "lane-detach", a_lane, lane_detach),
	GOOD(UFFD_ATTACH, "uffd-attach", a_vmm_and_region, uffd_attach),
	GOOD(UFFD_DETACH, "uffd-detach", an_attached_vmm, uffd_served),
	LASTING(UFFD_GET, "uffd-get", an_attached_vmm, uffd_served),
	DUMP(UFFD_GET, "uffd-get, all"),
	GOOD(REGION_ORIGIN, "region-origin", an_empty_region_and_file, origin_alone),
	GOOD(REGION_ORIGIN, "region-origin beside a peer", a_filling_region, origin_beside),
	GOOD(REGION_ORIGIN, "region-origin beside files", a_region_with_some_files, origin_beside),
	GOOD(REGION_ORIGIN, "region-origin, dropped", a_region_with_files, origin_drop),
	GOOD(REGION_ORIGIN, "region-origin, planned", an_empty_region_and_file, origin_plan),
};

const unsigned int fz_nr_goods = sizeof(fz_goods) / sizeof(*fz_goods);

/* ---- values with a meaning ---- */

uint32_t fz_some_u32(void)
{
	const uint32_t v[] = {
		0, 1, 2, 3, 16, 17, 0777, 01000, 4096, 2 << 20, INT32_MAX, INT32_MIN, UINT32_MAX,
		w.pair.src, w.pair.dst, w.link, w.export_id, w.pair.dst + 1000,
		w.file, w.sock[0], w.sock[1], w.mem, w.vmm[0].fd, w.vmm[1].fd, far_file,
		w.vmm[0].pid, w.vmm[1].pid, getpid(), getppid(), 999,
	};

	return v[fz_below(sizeof(v) / sizeof(*v))];
}

uint64_t fz_some_u64(void)
{
	const uint64_t v[] = {
		0, 1, 2, 8, PAGES - 1, PAGES, PAGES + 1, 63, 64, 65, TELEPAGE_DIRTY_MAX,
		TELEPAGE_DIRTY_MAX + 1, TK_PAGE - 1, TK_PAGE, TK_PAGE + 1, PAGES * TK_PAGE,
		2 << 20, 1ULL << 31, 1ULL << 32, 1ULL << 40, 1ULL << 44, 1ULL << 52, INT64_MAX,
		1ULL << 63, UINT64_MAX, -TK_PAGE, -PAGES * TK_PAGE, w.vmm[0].addr,
		w.vmm[1].addr, w.vmm[0].addr + TK_PAGE, w.vmm[0].addr + PAGES * TK_PAGE,
		(uintptr_t)here,
	};

	return v[fz_below(sizeof(v) / sizeof(*v))];
}

const char *fz_some_name(void)
{
	static const char * const v[] = {
		"fz-here", "fz-new", "fz-fills", "fz-file", "fz-vmm", "fz-served", "fz-more",
		"fz-live",
		"fz-other", "", ".", "a/b", "a\nb", "\xff",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl",
	};

	return v[fz_below(sizeof(v) / sizeof(*v))];
}
