// SPDX-License-Identifier: GPL-2.0
/*
 * plan_keep.c - the memory of a VM that has left stays as an image
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "images.h"
#include "plan_job.h"

#define CHUNK		(256UL * TELEPAGE_PAGE_SIZE)
#define SUM_PIECE	16384UL		/* digests */

/* runs of pages that are not zero */
static int write_sparse(int fd, const uint8_t *buf, size_t len, off_t pos)
{
	size_t at = 0, end;
	int err = 0;

	while (at < len && !err) {
		for (end = at; end < len && !page_is_zero(buf + end); end += TELEPAGE_PAGE_SIZE)
			;
		if (end > at)
			err = file_write_at(fd, buf + at, end - at, pos + at);
		at = end > at ? end : at + TELEPAGE_PAGE_SIZE;
	}
	return err;
}

static int copy(int from, int to, uint64_t size)
{
	uint8_t *buf = xcalloc(1, CHUNK);
	uint64_t pos = 0;
	int err = 0;

	while (pos < size && !err) {
		size_t want = size - pos < CHUNK ? size - pos : CHUNK;
		ssize_t n = pread(from, buf, want, pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)want)
			err = n < 0 ? -errno : -EIO;
		else
			err = write_sparse(to, buf, n, pos);
		pos += want;
		pulse_beat();
	}
	free(buf);
	return err;
}

int plan_sum(const digest_t *digests, uint64_t nr, digest_t sum)
{
	gnutls_hash_hd_t hash;
	int err = gnutls_hash_init(&hash, GNUTLS_DIG_SHA256);
	uint64_t at, n;

	if (err)
		return -EIO;
	for (at = 0; at < nr && !err; at += n) {
		n = nr - at < SUM_PIECE ? nr - at : SUM_PIECE;
		err = gnutls_hash(hash, digests + at, n * sizeof(*digests));
		pulse_beat();
	}
	gnutls_hash_deinit(hash, sum);
	return err ? -EIO : 0;
}

int plan_keep(const struct plan_job *job, unsigned int region, digest_t *digests, digest_t sum)
{
	const struct digest_opts opts = { .rate = agent.plan_rate };
	uint64_t pages = job->region[region].pages, size = pages * TELEPAGE_PAGE_SIZE, data = 0;
	const char *name = job->region[region].name;
	int from = region_open(name), err = 0;
	digest_t *own = NULL;
	struct images_keep *k;

	if (from < 0)
		return from;
	if (!digests) {
		digests = own = calloc(pages, sizeof(*own));
		err = own ? digest_pages(from, 0, pages, own, &opts) : -ENOMEM;
		if (err)
			goto out;
	}
	/* what is zero takes no room: others need not go for it */
	for (uint64_t p = 0; p < pages; p++)
		data += digest_is_zero(digests[p]) ? 0 : TELEPAGE_PAGE_SIZE;
	err = images_keep_open(agent.images, job->group, name, size, data, agent.keep_images, &k);
	if (err)
		goto out;
	err = copy(from, images_keep_fd(k), size);
	if (!err)
		err = plan_sum(digests, pages, sum);
	if (err)
		images_keep_drop(k);
	else
		err = images_keep_commit(k, digests, NULL);
out:
	free(own);
	close(from);
	return err;
}

/* --- what came from where it was kept --------------------------------------------- */

static char *known_path(const char *name)
{
	return xasprintf("%s/kept/%s", agent.state, name);
}

void planner_remember(const char *name, json_t *sum)
{
	const char *hex = json_string_value(sum);
	char *dir = xasprintf("%s/kept", agent.state), *path = known_path(name), *text;
	struct tp_region r;
	json_t *obj;

	unlink(path);
	if (hex && strlen(hex) == 2 * DIGEST_SIZE && strspn(hex, "0123456789abcdef") == strlen(hex) &&
	    !tp_region_get(agent.nl, name, &r)) {
		mkdir(dir, 0700);
		obj = json_pack("{s:I, s:s}", "id", (json_int_t)r.id, "sum", hex);
		text = json_dumps(obj, JSON_COMPACT);
		file_replace(path, text, 0600);
		free(text);
		json_decref(obj);
	}
	free(dir);
	free(path);
}

bool plan_known(const char *name, uint32_t id, digest_t sum)
{
	char *path = known_path(name), *text = file_read(path, 1024);
	json_t *obj = text ? json_loads(text, 0, NULL) : NULL;
	const char *hex = json_string_value(json_object_get(obj, "sum"));
	bool known = hex && strlen(hex) == 2 * DIGEST_SIZE &&
		     json_integer_value(json_object_get(obj, "id")) == id;

	for (unsigned int k = 0; known && k < DIGEST_SIZE; k++)
		known = sscanf(hex + 2 * k, "%2hhx", &sum[k]) == 1;
	json_decref(obj);
	free(text);
	free(path);
	return known;
}
