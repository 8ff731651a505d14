#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Whose files have pages of a VM: those of its group, or its own when it has none. A group that
# is called like a VM is another thing than that VM.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"
QUICK=import,local,many,noted,asked,asks,kept,kept_later,goes_along

touch "$W/plans"

# --- at the destination: who comes here ---

content() { # FILE: the same each time
	[ -e "$W/content" ] || head -c 1M /dev/urandom >"$W/content"
	mkdir -p "${1%/*}" && cp "$W/content" "$1"
}

exported() { # r of a has the content
	agent a "$PORT_A" && agent b "$PORT_B" && tp a create r 1M >/dev/null && content "$RAM/a/r" &&
	tp a freeze r && tp a export r
}

image() { # DIRECTORY: that of its group, or of who has none
	rm -rf "$W/images-b" && content "$W/images-b/$1/old.mem" &&
	"$TELEPAGE" images index --dir "$W/images-b" 2>/dev/null
}

held() { # was r of b held for a plan?
	python3 - "$W/state.json" <<-'END'
	import json, sys
	sys.exit("planned" not in json.load(open(sys.argv[1]))["b"]["regions"]["r"])
	END
}

found() { # something|nothing|unplanned: what the last plan of b has
	is=unplanned
	# one that has found nothing may be ended before it has said so: all pages are there
	! held || is=nothing
	# the pretended kernel takes no files, so what has found some comes to an end there
	! grep -q '"side":"destination","error":"Operation not supported"' "$W/b.log" || is=something
	[ "$is" = "$1" ] || { echo "# $is was found"; return 1; }
}

takes() { # something|nothing|unplanned [GROUP]: that an import of r finds here
	: >"$W/b.log"
	tp b import r --from "127.0.0.1:$PORT_A" ${2:+--group "$2"} --wait --socket "$W/b.sock" 2>"$W/move.err" &&
	check "it is right" cmp "$RAM/a/r" "$RAM/b/r" && wait_for is_left b "${OTHERS:-}r 0 0 0" &&
	check "found: $1" found "$1" && tp b delete r
}

t_import() { # what has no group and what is in one of its name have nothing in common
	OTHERS=
	exported && image .r || return 1
	check "its own" takes something && check "not of a group of its name" takes nothing r &&
	image r && check "of its group" takes something r && check "not without one" takes unplanned &&
	check "nor with another" takes nothing g || return 1
	mv "$W/images-b/r/old.mem" "$W/images-b/r/old.img" && mv "$W/images-b/r/old.mem.tpi" "$W/images-b/r/old.img.tpi"
	check "what an older telepage has kept is nobody's" takes nothing r &&
	check "with or without a group" takes unplanned
}

local_vm() { # [GROUP]: VM old of b, which no plan has brought
	tp b create old 1M >/dev/null && content "$RAM/b/old" && local_group "$@"
}

local_group() { # [GROUP]
	mkdir -p "$W/vm-b/old" && rm -f "$W/vm-b/old/group" || return 1
	[ $# = 0 ] || echo "$1" >"$W/vm-b/old/group"
}

t_local() { # a VM that is here without a plan has pages of its group, and of nobody else
	exported || return 1
	OTHERS=old,
	local_vm g && check "of its group" takes something g && check "a second time, too" takes something g &&
	check "not of another" takes nothing h && local_group h && check "it is of another now" takes something h &&
	check "not of that before" takes nothing g && local_group && check "it has none now" takes nothing h &&
	check "nor without a group" takes unplanned && local_group g && check "once more" takes something g || return 1
	: >"$RAM/b/old" && truncate -s 1M "$RAM/b/old" && rm "$W/st-b/plan/old" &&
	check "it has other pages" takes nothing g && tp b delete old || return 1
	tp b create r 1M >/dev/null && local_vm g && check "it is younger" takes nothing g && tp b delete old || return 1
	tp a create old 1M >/dev/null && content "$RAM/a/old" && tp a freeze old && tp a export old &&
	tp b import old --from "127.0.0.1:$PORT_A" --wait --socket "$W/b.sock" 2>"$W/move.err" &&
	check "it was imported for nobody, and no VM's" takes nothing g
}

registered() { # GROUP NAME AGE: a disk, $W/disk.NAME, written to so many minutes ago
	touch -d "$3 minutes ago" "$W/disk.$2" && mkdir -p "$W/images-b/$1" && echo "$W/disk.$2" >"$W/images-b/$1/$2.link"
}

t_many() { # images of a group: the newest are looked at, and it is told that others are not
	OTHERS=
	rm -rf "$W/images-b" "$W"/disk.*
	exported || return 1
	i=100
	while [ "$i" -lt 170 ]; do
		head -c 8K /dev/urandom >"$W/disk.d$i" && registered g "d$i" 60 || return 1
		i=$((i + 1))
	done
	content "$W/disk.x" && registered g x 10 && "$TELEPAGE" images index --dir "$W/images-b" 2>/dev/null &&
	check "the newest has it" takes something g && says "$W/b.log" "plan of r: 7 images of group g are not looked at: 64 are the most" &&
	rm -r "$W/images-b" "$W"/disk.*
}

t_stale() { # a disk that was written to has most of its blocks still
	OTHERS=
	rm -rf "$W/images-b" "$W"/disk.*
	exported && content "$W/disk.x" && registered g x 10 &&
	"$TELEPAGE" images index --dir "$W/images-b" 2>/dev/null || return 1
	dd if=/dev/urandom of="$W/disk.x" bs=64K count=1 seek=3 conv=notrunc status=none
	"$TELEPAGE" images list --dir "$W/images-b" >"$W/out" && says "$W/out" stale &&
	check "one that has most" takes something g && mv "$W/images-b/g" "$W/images-b/.r" &&
	check "also without a group" takes something && mv "$W/images-b/.r" "$W/images-b/g" || return 1
	head -c 960K /dev/urandom | dd of="$W/disk.x" bs=64K conv=notrunc iflag=fullblock status=none
	check "one that has little is not asked" takes nothing g && rm -r "$W/images-b" "$W"/disk.*
}

refused() { # words: why old is not deleted
	! tp b delete old 2>"$W/err" && says "$W/err" "$1"
}

t_taken_from() { # who deletes a region that others take pages from is told so
	agent a "$PORT_A" && agent b "$PORT_B" && tp a create r 1M >/dev/null && content "$RAM/a/r" &&
	tp a export r && tp b create young 1M >/dev/null && tp b create old 1M >/dev/null && touch "$W/open.old" || return 1
	refused "^telepage: delete old: [^(]*\$" &&
	tp b import r --from "127.0.0.1:$PORT_A" --socket "$W/b.sock" 2>"$W/move.err" &&
	refused "^telepage: delete old: .*(r may take pages from it until complete: wait for that)" && rm "$W/open.old" && tp b delete old
}

nothing_noted() { # of regions that came here
	[ -z "$(find "$W/st-b/plan" "$W/st-b/kept" -type f 2>/dev/null)" ]
}

t_noted() { # what a region came with, and its group, goes with it
	OTHERS=
	exported && takes nothing g || return 1
	check "nothing of it is left" wait_for nothing_noted || return 1
	mkdir -p "$W/st-b/plan" "$W/st-b/kept" && echo x >"$W/st-b/plan/s" && echo x >"$W/st-b/kept/s" &&
	tp b create t 1M >/dev/null && echo x >"$W/st-b/kept/t" || return 1
	agent_kill b
	agent b "$PORT_B" && check "nor of one that went without an agent" test ! -e "$W/st-b/plan/s" -a ! -e "$W/st-b/kept/s" &&
	check "of one that is there it is" test -e "$W/st-b/kept/t"
}

A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

prepares() { # true|false MORE: is vm0, of which a source says that, planned here?
	echo 'x {"id":1,"op":"prepare","move":"'"$A"'","vm":"vm0","regions":[{"name":"vm0","size":1048576}],"bulk":1,'"$2"'}
x -' | python3 "$HELPER" converse "$PORT_B" >"$W/said" 2>&1
	says "$W/said" '"plan":'"$1" && check "it is gone" wait_for is_left b "- 0 0 0"
}

t_asked() { # what a source says, an older one too, is nobody else's, and nonsense is nobody's
	PLAIN=--insecure-plain
	agent b "$PORT_B" && image .vm0 || return 1
	check "no group" prepares true '"plan":"own"' &&
	check "no group, by an older one" prepares true '"plan":true' &&
	check "it wants none" prepares false '"plan":false' && check "nor this one" prepares false '"bulk":1' &&
	image vm0 && check "a group of its name is not its own" prepares false '"plan":"own"' &&
	check "for an older one neither" prepares false '"plan":true' &&
	check "in a group all are looked for" prepares true '"plan":"group","group":"vm0"' &&
	check "by an older one, too" prepares true '"plan":true,"group":"vm0"' &&
	image .vm0 && check "own, and a group" prepares false '"plan":"own","group":"g"' &&
	check "a group, and none" prepares false '"plan":"group"' &&
	check "one that is no name" prepares false '"plan":"group","group":".vm0"' &&
	check "by an older one" prepares false '"plan":true,"group":".vm0"' &&
	check "one that is no text" prepares false '"plan":true,"group":7' &&
	check "something else" prepares false '"plan":"all","group":"g"'
}

t_known() { # of a VM that has to be known this host says in which group it is
	PLAIN=--insecure-plain
	mkdir -p "$W/vm-b/vm0" && echo x >"$W/vm-b/vm0/args" && echo g >"$W/vm-b/vm0/group" &&
	agent b "$PORT_B" --accept-moves known && image g && image h && image .vm0 || return 1
	check "in its group" prepares true '"plan":"group","group":"g"' &&
	check "not in another" prepares false '"plan":"group","group":"h"' &&
	says "$W/b.log" "in group h at its source, in g here" &&
	check "nor by itself" prepares false '"plan":"own"' &&
	check "the group stays" grep -qx g "$W/vm-b/vm0/group" && rm "$W/vm-b/vm0/group" || return 1
	check "by itself" prepares true '"plan":"own"' &&
	check "not in any" prepares false '"plan":"group","group":"g"' &&
	check "what there is of it stays" grep -qx x "$W/vm-b/vm0/args"
}

# --- at the source: neither QEMU nor the destination is real ---

world() { # [options of a]
	stubs_come
	agent a "$PORT_A" "$@" && stubs_start
}

asked() { # PLAN GROUP: as it was in `prepare`, in Python
	python3 - "$P/prepare" "$@" <<-'END'
	import json, sys
	m = json.load(open(sys.argv[1]))
	print("#", m.get("plan"), m.get("group"))
	# an older destination looks for what it has if this is true, and takes a group for a VM
	sys.exit(m.get("plan") is True or repr(m.get("plan")) != sys.argv[2] or repr(m.get("group")) != sys.argv[3])
	END
}

t_asks() { # a source says whether there is a group, and an older destination does not plan
	world && echo '{"error":"no"}' >"$P/refuse.start" || return 1
	! move vm0 a "$PORT_B" && check "no group" asked "'own'" None || return 1
	wait_for is_left a "vm0 0 0 0" && echo vm0 >"$W/vm-a/vm0/group"
	! move vm0 a "$PORT_B" && check "one of its name" asked "'group'" "'vm0'" || return 1
	wait_for is_left a "vm0 0 0 0" && echo g >"$W/vm-a/vm0/group"
	! move vm0 a "$PORT_B" && check "another" asked "'group'" "'g'"
}

kept_in() { # DIRECTORY: one image, there
	check "nothing is left: $(left a)" wait_for is_left a "- 0 0 0" &&
	check "an image is in $1" test "$(cd "$W/images-a" && find . -name '*.mem')" = "./$1/vm0.mem"
}

t_kept() { # memory is kept where who comes back looks for it
	for g in '' vm0 g; do
		fresh
		world --keep-images 1G && touch "$P/complete" || return 1
		[ -z "$g" ] || echo "$g" >"$W/vm-a/vm0/group"
		move vm0 a "$PORT_B" && kept_in "${g:-.vm0}" || return 1
	done
}

t_kept_later() { # by another agent, too; what none has written down is nobody's
	for g in g ''; do
		fresh
		world --keep-images 1G && touch "$P/complete" "$P/hold.commit" && echo g >"$W/vm-a/vm0/group" || return 1
		move vm0 a "$PORT_B" & m=$!
		check "it is committed" wait_for grep -qsx commit "$P/log" || return 1
		agent_kill a
		wait "$m"
		echo complete >"$P/state"
		[ -n "$g" ] || sed -i 's/"group": *"g", *//' "$W"/st-a/src-*.json
		agent a "$PORT_A" --keep-images 1G || return 1
		if [ -n "$g" ]; then
			kept_in g || return 1
		else
			# an older agent's record says nothing of a group
			check "nothing is left: $(left a)" wait_for is_left a "- 0 0 0" &&
			check "nothing is kept" test ! -e "$W/images-a" || return 1
		fi
	done
}

# --- with a VM ---

groups() { # OF-A OF-B: what is written down of vm0 here and there, nothing else of that is left
	is="$(cat "$W/vm-a/vm0/group" 2>/dev/null) $(cat "$W/vm-b/vm0/group" 2>/dev/null)"
	[ "$is" = "$1 $2" ] || { echo "# $is"; return 1; }
	[ -z "$(find "$W"/vm-[ab] -name 'group.*')" ]
}

t_goes_along() { # it is where the VM is, and nowhere else: the next one of that name is another
	can_move || return 0
	two && mkdir -p "$W/vm-b/vm0" && echo old >"$W/vm-b/vm0/group" && echo g >"$W/vm-a/vm0/group" || return 1
	move vm0 a "$PORT_B" && moved && check "there as it was here" groups "" g || return 1
	echo old >"$W/vm-a/vm0/group"
	move vm0 b "$PORT_A" && check "back again" wait_for runs a && check "here as it was there" groups g "" || return 1
	rm "$W/vm-a/vm0/group"
	echo old >"$W/vm-b/vm0/group"
	wait_for is_left b "- 0 0 0" && move vm0 a "$PORT_B" && moved && check "a VM without a group has none there" groups "" ""
}

t_own_name() { # also one that is called like the VM
	can_move || return 0
	two && echo vm0 >"$W/vm-a/vm0/group" || return 1
	move vm0 a "$PORT_B" && moved && check "it has gone along" groups "" vm0
}

t_stays() { # where the VM stays: here and, of another VM, there
	can_move || return 0
	two && mkdir -p "$W/vm-b/vm0" && echo old >"$W/vm-b/vm0/group" && echo g >"$W/vm-a/vm0/group" || return 1
	hook <<-'END'
	[ "$1" = stop ] || exit 1
	exec $HOOK "$@"
	END
	! move vm0 a "$PORT_B" && unmoved && check "both as before" groups g old
}

t_written_since() { # what is written while it moves is for the next one here
	world && touch "$P/complete" "$P/hold.load" && echo g >"$W/vm-a/vm0/group" || return 1
	move vm0 a "$PORT_B" & m=$!
	check "it is under way" wait_for grep -qsx load "$P/log" && echo other >"$W/vm-a/vm0/group" && rm "$P/hold.load" &&
	wait "$m" && check "it stays" groups other ""
}

run_tests
