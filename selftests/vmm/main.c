// SPDX-License-Identifier: GPL-2.0
/*
 * main.c - tk-vmm: the VMM for shell scripts
 */
#include <errno.h>
#include <getopt.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

static const char usage[] =
"usage: tk-vmm [OPTION]... PROGRAM...\n"
"\n"
"Runs the programs one after the other in one guest and says how each ended, a line\n"
"each: \"verify ok pages=8192\", or \"verify bad=1\" and which.\n"
"\n"
"  --ram SPEC       anon (default), memfd, huge, huge-memfd, region:NAME, file:PATH or\n"
"                   private:PATH; huge pages must have been reserved\n"
"  --size N[K|M|G]  of RAM (16M; with a file: the file's)\n"
"  --cpus N         1 to 4 (1)\n"
"  --seed N         of what pages hold (1)\n"
"  --async-pf       interrupt controllers in the kernel: KVM halts a vCPU that waits\n"
"  --uffd-socket PATH\n"
"                   hand RAM over to who listens there, as Firecracker does\n"
"  --uffd-sizes both|kib|none\n"
"                   page sizes in the message (both)\n"
"  --uffd-minor     minor faults as well (memfd)\n"
"  --uffd-features LIST\n"
"                   beside remove: unmap,remap,fork,thread-id,exact, or a number\n"
"\n"
"PROGRAM:\n"
"  verify, random   each page holds the pattern of the seed; in order, or each vCPU all\n"
"                   of them in an order of its own\n"
"  fill             write that pattern\n"
"  touch, look      store a word into each page, load one\n"
"  hammer=SECONDS   every vCPU writes to its share flat out; then RAM is compared with\n"
"                   what they say they wrote. Without =SECONDS: until a line on stdin\n"
"  balloon=SECONDS  pages are discarded all the time while vCPUs read and write: what\n"
"                   was discarded reads zero or what was written after\n"
"  discard=PAGE,COUNT\n"
"  zero=PAGE,COUNT  the guest reads zeros there\n"
"  written=PAGE,COUNT\n"
"                   the guest writes there\n"
"  seed=N           for the programs that follow\n"
"  wait             for a line on stdin\n"
"\n"
"Exit status: 0 all well, 1 a page was wrong, 2 usage, 3 the VMM could not go on or a\n"
"vCPU hangs, 4 no KVM here, 5 KVM_RUN failed (a page that cannot be had is EFAULT).\n";

static struct vmm_ram ram;
static struct vmm vm;
static uint32_t seed = 1;
static int status;

__attribute__((noreturn))
static void bad_usage(const char *what)
{
	fprintf(stderr, "tk-vmm: %s; see tk-vmm --help\n", what);
	exit(2);
}

static uint64_t number(const char *s, char **end)
{
	char *e;
	uint64_t v;

	errno = 0;
	v = strtoull(s, &e, 0);
	if (errno || e == s || (!end && *e))
		bad_usage(s);
	if (end)
		*end = e;
	return v;
}

static size_t size_of(const char *s)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	uint64_t v = number(s, &end);

	if (!*end)
		return v;
	unit = strchr(units, *end);
	if (!unit || end[1])
		bad_usage(s);
	return v << (10 * (unit - units + 1));
}

static uint64_t features_of(char *list)
{
	static const struct { const char *name; uint64_t bit; } all[] = {
		{ "remove", UFFD_FEATURE_EVENT_REMOVE },
		{ "unmap", UFFD_FEATURE_EVENT_UNMAP },
		{ "remap", UFFD_FEATURE_EVENT_REMAP },
		{ "fork", UFFD_FEATURE_EVENT_FORK },
		{ "thread-id", UFFD_FEATURE_THREAD_ID },
		{ "exact", UFFD_FEATURE_EXACT_ADDRESS },
	};
	uint64_t v = 0;
	unsigned int i;
	char *word;

	while ((word = strsep(&list, ","))) {
		for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
			if (!strcmp(word, all[i].name))
				break;
		v |= i < sizeof(all) / sizeof(all[0]) ? all[i].bit : number(word, NULL);
	}
	return v;
}

static void range_of(const char *s, uint64_t *page, uint64_t *count)
{
	char *end;

	*page = number(s, &end);
	*count = *end == ',' ? number(end + 1, NULL) : 1;
	if (*page + *count > vmm_pages(&ram) || *page + *count < *page)
		bad_usage(s);
}

static void wait_for_line(void)
{
	int c;

	do
		c = getchar();
	while (c != '\n' && c != EOF);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void discard_some(void)
{
	uint64_t unit = ram.page_size / VMM_PAGE, units = vmm_pages(&ram) / unit;
	uint64_t first = random() % units, n = 1 + random() % 4;

	if (n > units - first)
		n = units - first;
	vmm_discard(&vm, first * unit, n * unit);
}

/* for a time, or until a line is there; with a balloon meanwhile */
static void go_on(const char *seconds, bool balloon)
{
	double end;

	if (!*seconds) {
		wait_for_line();
		return;
	}
	end = now() + strtod(seconds, NULL);
	while (now() < end) {
		if (balloon)
			discard_some();
		else
			usleep(10000);
	}
}

/* the end of a program: says what came of it */
static void ended(const char *name)
{
	unsigned long wrong = 0;
	char buf[512];

	if (!vmm_wait(&vm))
		vmm_die("%s: a vCPU hangs: %s", name, vmm_report(&vm, buf, sizeof(buf)));
	if (!strcmp(name, "hammer"))
		wrong = vmm_hammer_wrong(&vm, ram.mem, 0);
	if (vmm_count(&vm, VMM_IDLE) != vm.nr_cpus) {
		printf("%s %s\n", name, vmm_report(&vm, buf, sizeof(buf)));
		exit(5);
	}
	if (vmm_bad(&vm) || wrong) {
		printf("%s bad=%llu lost=%lu %s\n", name, (unsigned long long)vmm_bad(&vm), wrong,
		       vmm_report(&vm, buf, sizeof(buf)));
		status = 1;
		return;
	}
	printf("%s ok pages=%llu\n", name, (unsigned long long)vmm_done(&vm));
}

static void ask(const char *name, enum vmm_ask what, const char *range)
{
	uint64_t page, count, value = seed;
	bool answered;

	range_of(range, &page, &count);
	vmm_start_cpu(&vm.cpu[0], VMM_READBACK, seed);
	answered = vmm_ask(&vm.cpu[0], what, page, count, &value);
	vmm_stop(&vm);
	if (!answered) {
		ended(name);
		vmm_die("%s: the guest does not answer", name);
	}
	if (what == VMM_READ && value) {
		vmm_wait(&vm);
		printf("%s bad: pages %s hold %#llx\n", name, range, (unsigned long long)value);
		status = 1;
		return;
	}
	ended(name);
}

static void run_program(char *word)
{
	static const struct { const char *name; enum vmm_program program; } simple[] = {
		{ "verify", VMM_VERIFY }, { "random", VMM_RANDOM }, { "fill", VMM_FILL },
		{ "touch", VMM_TOUCH }, { "look", VMM_LOOK },
	};
	char *value = strchr(word, '=');
	uint64_t page, count;
	unsigned int i;

	if (value)
		*value++ = 0;
	else
		value = word + strlen(word);
	for (i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
		if (strcmp(word, simple[i].name))
			continue;
		vmm_share(&vm, simple[i].program == VMM_RANDOM ? VMM_WHOLE : VMM_APART);
		vmm_start(&vm, simple[i].program, seed);
		ended(word);
		return;
	}
	if (!strcmp(word, "hammer") || !strcmp(word, "balloon")) {
		bool balloon = *word == 'b';

		vmm_share(&vm, VMM_APART);
		vmm_start(&vm, balloon ? VMM_BALLOON : VMM_HAMMER, seed);
		go_on(value, balloon);
		vmm_stop(&vm);
		ended(word);
	} else if (!strcmp(word, "discard")) {
		range_of(value, &page, &count);
		vmm_discard(&vm, page, count);
		printf("discard ok pages=%llu\n", (unsigned long long)count);
	} else if (!strcmp(word, "zero")) {
		ask(word, VMM_READ, value);
	} else if (!strcmp(word, "written")) {
		ask(word, VMM_WRITE, value);
	} else if (!strcmp(word, "seed")) {
		seed = number(value, NULL);
	} else if (!strcmp(word, "wait")) {
		wait_for_line();
	} else {
		bad_usage(word);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ram", required_argument, NULL, 'r' },
		{ "size", required_argument, NULL, 's' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 'n' },
		{ "async-pf", no_argument, NULL, 'a' },
		{ "uffd-socket", required_argument, NULL, 'u' },
		{ "uffd-sizes", required_argument, NULL, 'z' },
		{ "uffd-minor", no_argument, NULL, 'm' },
		{ "uffd-features", required_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const char *spec = "anon", *path = NULL;
	enum vmm_sizes sizes = VMM_SIZES_BOTH;
	unsigned int cpus = 1, flags = 0;
	uint64_t features = 0;
	struct vmm_uffd u;
	bool minor = false;
	size_t size = 0;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			spec = optarg;
			break;
		case 's':
			size = size_of(optarg);
			break;
		case 'c':
			cpus = number(optarg, NULL);
			break;
		case 'n':
			seed = number(optarg, NULL);
			break;
		case 'a':
			flags |= VMM_ASYNC_PF;
			break;
		case 'u':
			path = optarg;
			break;
		case 'z':
			sizes = !strcmp(optarg, "none") ? VMM_SIZES_NONE :
				!strcmp(optarg, "kib") ? VMM_SIZES_KIB : VMM_SIZES_BOTH;
			break;
		case 'm':
			minor = true;
			break;
		case 'f':
			features = features_of(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			bad_usage("no such option");
		}
	}
	if (optind == argc)
		bad_usage("no program");
	if (vmm_missing()) {
		fprintf(stderr, "tk-vmm: %s\n", vmm_missing());
		return 4;
	}
	if (!size && !strchr(spec, ':'))
		size = 16 << 20;
	vmm_ram_open(&ram, spec, size);
	vmm_open(&vm, &ram, cpus, flags);
	if (path)
		vmm_uffd_open(&u, &ram, path, sizes, features, minor);
	for (; optind < argc; optind++)
		run_program(argv[optind]);
	vmm_close(&vm);
	if (path)
		vmm_uffd_close(&u);
	vmm_ram_close(&ram);
	return status;
}
