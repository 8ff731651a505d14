// SPDX-License-Identifier: GPL-2.0
/*
 * move_record.c - what a move's source has written down, and a new agent's reading of it
 *
 * A record says at any time what is so, or what may be so: it is written before
 * what it tells of is done, and again before something is taken back.
 */
#include <stdio.h>

#include "journal.h"
#include "move_src.h"

static const char *phase_of(const struct msrc *m)
{
	switch (m->state) {
	case SRC_COMMIT:
		return "commit";
	case SRC_FILL:
		return "fill";
	case SRC_RELEASE:
		return "release";
	default:		/* undone as well: it never was committed, or no more */
		return "prepare";
	}
}

int msrc_journal(struct msrc *m)
{
	json_t *regions = json_array(), *obj;
	unsigned int i;
	int err;

	for (i = 0; i < m->ram.nr && !m->regions_gone; i++)
		json_array_append_new(regions, json_pack("{s:s, s:I, s:s}",
			"name", m->ram.region[i].name, "size", (json_int_t)m->ram.region[i].size,
			"export", i < m->nr_exports ? m->export[i] : ""));
	obj = json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s, s:s, s:o, s:b, s:b, s:o, s:i}",
			"vm", m->vm, "as", m->as, "who", m->who,
			"group", m->group_known ? m->group : NULL,
			"phase", phase_of(m), "qmp", m->qmp_path, "args", m->args_file,
			"target", target_to_json(&m->target), "was_running", m->was_running,
			"stopped", m->stopped,
			"regions", regions, "link", m->link ? (int)m->link->id : 0);
	err = journal_write("src", m->id, obj);
	json_decref(obj);
	return err;
}

/* a new agent */

static void restore_one(const char *id, json_t *obj)
{
	const char *who = "", *group = NULL, *vm, *as, *phase, *qmp, *args, *name, *export;
	json_t *target, *regions, *r;
	int was_running, link, stopped = 1;	/* older ones do not say */
	struct msrc *m;
	json_int_t size;
	size_t i;

	m = msrc_new(id);
	if (json_unpack(obj, "{s:s, s:s, s?s, s?s, s:s, s:s, s:s, s:o, s:b, s?b, s:o, s:i}",
			"vm", &vm, "as", &as, "who", &who, "group", &group, "phase", &phase,
			"qmp", &qmp, "args", &args, "target", &target,
			"was_running", &was_running, "stopped", &stopped, "regions", &regions,
			"link", &link) ||
	    !target_from_json(&m->target, target)) {
		note("journal of move %.8s is not understood and left alone", id);
		msrc_free(m);
		return;
	}
	snprintf(m->vm, sizeof(m->vm), "%s", vm);
	snprintf(m->as, sizeof(m->as), "%s", as);
	snprintf(m->qmp_path, sizeof(m->qmp_path), "%s", qmp);
	snprintf(m->args_file, sizeof(m->args_file), "%s", args);
	copy_str(m->who, who);
	/* an older agent has not written it down: then nobody knows whose an image would be */
	m->group_known = group && (!*group || name_ok(group));
	if (m->group_known)
		copy_str(m->group, group);
	m->restored = true;
	m->was_running = was_running;
	m->stopped = stopped;
	m->migrating = stopped;		/* perhaps */
	json_array_foreach(regions, i, r) {
		if (m->ram.nr == MOVE_REGIONS_MAX ||
		    json_unpack(r, "{s:s, s:I, s:s}", "name", &name, "size", &size,
				"export", &export))
			continue;
		snprintf(m->ram.region[m->ram.nr].name, sizeof(m->ram.region[0].name), "%s", name);
		m->ram.region[m->ram.nr++].size = size;
		if (*export)
			snprintf(m->export[m->nr_exports++], sizeof(m->export[0]), "%s", export);
	}
	m->link = plink_find(link);
	if (m->link && strcmp(m->link->move, id) != 0)
		m->link = NULL;
	msrc_note(m, "found, %s", phase);
	snprintf(m->error, sizeof(m->error), "the agent was restarted");
	if (!strcmp(phase, "release")) {
		msrc_quit(m);
		msrc_enter(m, SRC_RELEASE);
	} else if (!strcmp(phase, "fill")) {
		m->state = SRC_FILL;
		msrc_quit(m);
		msrc_reconnect(m);
	} else if (!strcmp(phase, "commit")) {
		m->state = SRC_COMMIT;
		msrc_reconnect(m);
	} else if (!strcmp(phase, "prepare")) {
		m->state = SRC_PREPARE;
		msrc_undo(m, false);
	} else {
		note("journal of move %.8s has a phase that is not known and is left alone", id);
		msrc_free(m);
	}
}

void move_src_restore(void)
{
	journal_each("src", restore_one);
}
