// SPDX-License-Identifier: GPL-2.0
/*
 * ram.c - what guest RAM is made of
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm.h"

#define HUGE	(2UL << 20)

static bool path_of(const char *spec, const char *kind, const char *dir, char *path, size_t len)
{
	size_t n = strlen(kind);

	if (strncmp(spec, kind, n))
		return false;
	if ((size_t)snprintf(path, len, "%s%s", dir, spec + n) >= len)
		vmm_die("%s: too long", spec);
	return true;
}

static void open_file(struct vmm_ram *ram, const char *path, bool shared)
{
	struct stat st;

	ram->fd = open(path, (shared ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (ram->fd < 0 || fstat(ram->fd, &st))
		vmm_die("%s: %m", path);
	if (!ram->size)
		ram->size = st.st_size;
	if ((size_t)st.st_size < ram->size)
		vmm_die("%s has %lld bytes, not %zu", path, (long long)st.st_size, ram->size);
	ram->shared = shared;
}

static void open_memfd(struct vmm_ram *ram, unsigned int flags)
{
	ram->fd = memfd_create("guest RAM", MFD_CLOEXEC | flags);
	if (ram->fd < 0 || ftruncate(ram->fd, ram->size))
		vmm_die("memfd: %m");
	ram->shared = true;
}

/* At an address that is a multiple of 2 MiB, as VMMs do, so that it can be mapped so. */
static void map(struct vmm_ram *ram, int flags)
{
	uint8_t *room, *at;

	room = mmap(NULL, ram->size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		vmm_die("mmap: %m");
	at = (uint8_t *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
	if (at > room)
		munmap(room, at - room);
	munmap(at + ram->size, room + HUGE - at);
	ram->mem = mmap(at, ram->size, PROT_READ | PROT_WRITE, MAP_FIXED | flags, ram->fd, 0);
	if (ram->mem == MAP_FAILED)
		vmm_die("mmap %zu bytes of guest RAM: %m", ram->size);
}

void vmm_ram_open(struct vmm_ram *ram, const char *spec, size_t size)
{
	char path[4096];
	int flags;

	*ram = (struct vmm_ram){ .size = size, .page_size = VMM_PAGE, .fd = -1 };
	if (!strcmp(spec, "anon") || !strcmp(spec, "huge"))
		;
	else if (!strcmp(spec, "memfd"))
		open_memfd(ram, 0);
	else if (!strcmp(spec, "huge-memfd"))
		open_memfd(ram, MFD_HUGETLB | MFD_HUGE_2MB);
	else if (path_of(spec, "region:", "/run/telepage/", path, sizeof(path)) ||
		 path_of(spec, "file:", "", path, sizeof(path)))
		open_file(ram, path, true);
	else if (path_of(spec, "private:", "", path, sizeof(path)))
		open_file(ram, path, false);
	else
		vmm_die("guest RAM of '%s': see vmm.h", spec);

	if (!strncmp(spec, "huge", 4))
		ram->page_size = HUGE;
	if (!ram->size || ram->size % ram->page_size || ram->size > VMM_RAM_MAX)
		vmm_die("guest RAM of %zu bytes", ram->size);
	flags = ram->shared ? MAP_SHARED : MAP_PRIVATE;
	if (ram->fd < 0)
		flags |= MAP_ANONYMOUS;
	if (!strcmp(spec, "huge"))
		flags |= MAP_HUGETLB | MAP_HUGE_2MB;
	map(ram, flags);
	/* page by page is the point: a huge page would take 512 faults in one */
	if (!strcmp(spec, "anon"))
		madvise(ram->mem, ram->size, MADV_NOHUGEPAGE);
}

void vmm_ram_close(struct vmm_ram *ram)
{
	munmap(ram->mem, ram->size);
	if (ram->fd >= 0)
		close(ram->fd);
}

void vmm_page(void *buf, uint32_t seed, unsigned long index)
{
	uint64_t *p = buf;
	unsigned int i;

	for (i = 0; i < VMM_WORDS; i++)
		p[i] = vmm_word(seed, index, i);
}

unsigned long vmm_wrong(const void *mem, unsigned long pages, uint32_t seed)
{
	uint64_t want[VMM_WORDS];
	unsigned long i, n = 0;

	for (i = 0; i < pages; i++) {
		vmm_page(want, seed, i);
		n += !!memcmp((const uint8_t *)mem + i * VMM_PAGE, want, VMM_PAGE);
	}
	return n;
}
