#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Files that may have pages of VMs: telepage images, and the agent that indexes them in the
# background. No VM is needed.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"

images() { # command...
	"$TELEPAGE" images "$@" --dir "$W/images-a"
}

# a disk of 5 MiB and a bit, as if it was last written to a minute ago
disk() { # name
	head -c 5000000 /dev/urandom >"$W/$1" && touch -d '1 minute ago' "$W/$1"
}

listed() { # words: what there is, without sizes and times
	is=$(images list --json | python3 -c '
import json, sys
print(" ".join("%s/%s:%s:%s" % (i["group"] if i["vm"] is None else (i["group"], i["vm"]),
	i["name"], i["kind"], i["index"]) for i in json.load(sys.stdin)["images"]))')
	[ "$is" = "$1" ] || { echo "# $is"; return 1; }
}

refused() { # status words command...
	wanted=$1 words=$2
	shift 2
	images "$@" >"$W/out" 2>"$W/err" </dev/null
	check "exit status $wanted of $*" test $? = "$wanted" && says "$W/err" "$words" &&
	check "one line" test "$(wc -l <"$W/err")" = 1
}

worlds() { # as it was before
	rm -rf "$W"/images-* "$W"/disk*
}

t_by_hand() { # registered, indexed, listed, changed, forgotten
	worlds
	disk disk.raw && disk disk2
	check "nothing there" listed "" &&
	images add "$W/disk.raw" --group g && images add "$W/disk2" --name base --group h &&
	check "registered" listed "g/disk.raw:disk:no h/base:disk:no" &&
	images index disk.raw --group g 2>"$W/err" && says "$W/err" "1220/1220 pages" &&
	check "one is indexed" listed "g/disk.raw:disk:yes h/base:disk:no" &&
	images index 2>/dev/null &&
	check "then all" listed "g/disk.raw:disk:yes h/base:disk:yes" &&
	check "as few as that" test "$(stat -c %s "$W/disk2.tpi")" = $((1220 * 36 + 128)) || return 1
	echo x >>"$W/disk2"
	check "one has changed" listed "g/disk.raw:disk:yes h/base:disk:stale" &&
	images remove base --group h &&
	check "forgotten" listed "g/disk.raw:disk:yes" &&
	check "with its index" test ! -e "$W/disk2.tpi" && check "but there" test -e "$W/disk2" &&
	images list >"$W/out" && says "$W/out" "disk.raw  disk"
}

cannot_create() { # file words: a region with that as its content
	timeout 60 "$TELEPAGE" create r --image "$1" 2>"$W/err"
	[ $? = 1 ] && says "$W/err" "image $1: $2" && [ "$(wc -l <"$W/err")" = 1 ]
}

turned() { # FILE: what was registered has become a pipe
	rm "$1" && mkfifo "$1" && images list >"$W/out" && says "$W/out" "$1: is no file .*$accepted\$" &&
	refused 1 "index: $1: is no file .*$accepted" index disk.raw --group g && rm "$1"
}

t_refusals() { # clear, and nothing was done
	worlds
	disk disk.raw
	mkfifo "$W/disk.fifo"
	refused 1 "No such file" add "$W/disk.none" --group g &&
	accepted="(a regular file or a block device is accepted)" &&
	refused 1 "add: $W/disk.fifo: is no file .*$accepted" add "$W/disk.fifo" --group g &&
	refused 1 "add: $W: is no file .*$accepted" add "$W" --name x --group g &&
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$W/disk.sock" &&
	refused 1 "add: $W/disk.sock: is no file .*$accepted" add "$W/disk.sock" --group g &&
	refused 1 "add: /dev/null: is no file .*$accepted" add /dev/null --group g || return 1
	# what is another file each time that it is read, whatever size it says
	for f in /proc/cpuinfo /proc/sys/kernel/hostname /sys/kernel/uevent_seqnum; do
		[ ! -e "$f" ] || refused 1 "add: $f: is made up .*$accepted" add "$f" --group g || return 1
		[ ! -e "$f" ] || check "nor is $f an image of a region" cannot_create "$f" "is made up .*$accepted" || return 1
	done
	: >"$W/disk.empty"
	refused 1 "add: $W/disk.empty: is empty.*$accepted" add "$W/disk.empty" --group g &&
	check "empty" cannot_create "$W/disk.empty" "is empty.*$accepted" &&
	check "a pipe" cannot_create "$W/disk.fifo" "is no file .*$accepted" &&
	check "a directory" cannot_create "$W" "is no file .*$accepted" &&
	check "no store for that" test ! -e "$W/images-a" &&
	images add "$W/disk.raw" --group g &&
	refused 1 "another file as disk.raw (give a --name)" add "$W/boot.img" --name disk.raw --group g &&
	refused 1 "telepage images list shows" remove nothing --group g &&
	refused 1 "telepage images list shows" index nothing --group g &&
	check "what it becomes is told as well" turned "$W/disk.raw" && disk disk.raw &&
	# a kept memory image is gone for good
	cp "$W/disk.raw" "$W/images-a/g/vm0.mem" &&
	refused 2 "needs --yes" remove vm0 --group g &&
	check "it is there" listed "g/disk.raw:disk:no g/vm0:kept:no" &&
	images remove vm0 --group g --yes && check "now it is not" listed "g/disk.raw:disk:no"
}

t_two_of_a_name() { # one is removed without the other
	worlds
	disk disk.raw
	images add "$W/disk.raw" --group g --name vm0 && cp "$W/disk.raw" "$W/images-a/g/vm0.mem" &&
	refused 1 "a kept and a registered vm0 (say --kind kept or --kind disk)" remove vm0 --group g --yes &&
	refused 2 "kept or disk" remove vm0 --group g --kind all &&
	check "both are there" listed "g/vm0:kept:no g/vm0:disk:no" &&
	images remove vm0 --group g --kind disk </dev/null &&
	check "the kept one is" listed "g/vm0:kept:no" &&
	refused 1 "group g has no vm0 that is a disk" remove vm0 --group g --kind disk &&
	images add "$W/disk.raw" --group g --name vm0 &&
	refused 2 "needs --yes" remove vm0 --group g --kind kept &&
	images remove vm0 --group g --kind kept --yes &&
	check "the registered one is" listed "g/vm0:disk:no" &&
	images remove vm0 --group g && check "which needs no more words" listed ""
}

t_whose() { # a VM without a group is not in one that is called like it
	worlds
	disk disk.raw && disk disk2
	images add "$W/disk.raw" --vm acme && images add "$W/disk2" --group acme &&
	check "two that are told apart" listed "(None, 'acme')/disk.raw:disk:no acme/disk2:disk:no" &&
	images list >"$W/out" && says "$W/out" "^none (acme)  disk.raw " && says "$W/out" "^acme  *disk2 " &&
	images list --vm acme >"$W/out" && check "those of the VM" not grep disk2 "$W/out" &&
	says "$W/out" disk.raw &&
	images list --group acme >"$W/out" && check "those of the group" not grep disk.raw "$W/out" &&
	says "$W/out" disk2 &&
	images index disk.raw --vm acme 2>"$W/err" && says "$W/err" "none (acme)/disk.raw" &&
	check "one is indexed" listed "(None, 'acme')/disk.raw:disk:yes acme/disk2:disk:no" &&
	refused 1 "group acme has no disk.raw" remove disk.raw --group acme &&
	refused 1 "VM acme, without a group, has no disk2" remove disk2 --vm acme &&
	refused 1 "VM acme, without a group, has another file as disk.raw" add "$W/disk2" --name disk.raw --vm acme &&
	images remove disk.raw --vm acme && check "one is forgotten" listed "acme/disk2:disk:no"
}

t_older() { # what an older telepage has kept is listed and goes, but is not used
	worlds
	disk disk.raw && mkdir -p "$W/images-a/vm0" && cp "$W/disk.raw" "$W/images-a/vm0/vm0.img" || return 1
	check "it is listed" listed "vm0/vm0:kept:old" &&
	images list >"$W/out" && says "$W/out" "nobody can tell for whom: it is not used" &&
	images list --json | says /dev/stdin '"size":5000000,.*"error":"an older telepage' &&
	images index && check "not indexed" test ! -e "$W/images-a/vm0/vm0.img.tpi" &&
	refused 1 "an older telepage has kept it" index vm0 --group vm0 &&
	agent a "$PORT_A" && check "by the agent neither" not wait_1s test -e "$W/images-a/vm0/vm0.img.tpi" &&
	images remove vm0 --group vm0 --yes && check "it is gone" listed "" &&
	check "with its directory" test ! -e "$W/images-a/vm0"
}

wait_1s() {
	sleep 1
	"$@"
}

t_missing() { # a registered file that has gone is told of
	worlds
	disk disk.raw
	images add "$W/disk.raw" --group g && rm "$W/disk.raw" || return 1
	images list >"$W/out" && says "$W/out" "g *disk.raw *disk *- *- *- *missing *$W/disk.raw\$" &&
	images list --json | says /dev/stdin '"index":null,"error":"No such file or directory"' &&
	refused 1 "$W/disk.raw: No such file" index --group g &&
	agent a "$PORT_A" &&
	check "by the agent, too" wait_for grep -q "image g/disk.raw: $W/disk.raw: No such file" "$W/a.log" >/dev/null || return 1
	disk disk.raw
	check "until it is back" wait_for listed "g/disk.raw:disk:no" >/dev/null
}

t_linked() { # a registered file in whose place there is a link now is told of in these words
	worlds
	disk disk.raw
	images add "$W/disk.raw" --group g && mv "$W/disk.raw" "$W/disk2" && ln -s disk2 "$W/disk.raw" || return 1
	words="$W/disk.raw: has a link in it by now, which is not followed"
	images list >"$W/out" && says "$W/out" "$words" && images list --json >"$W/out" &&
	says "$W/out" '"index":null,"error":"has a link in it by now' &&
	refused 1 "index: $words" index disk.raw --group g
}

t_removed_in_index() { # what is forgotten while the agent indexes it leaves no index
	worlds
	disk disk.raw && disk disk2 && images add "$W/disk.raw" --group g &&
	agent a "$PORT_A" --plan-rate 1M && wait_for test -e "$W/disk.raw.tpi.tmp" || return 1
	cp -p "$W/disk2" "$W/images-a/g/vm0.mem" && images remove disk.raw --group g &&
	check "it was being indexed" test -e "$W/disk.raw.tpi.tmp" || return 1
	check "its indexing ends" wait_for test ! -e "$W/disk.raw.tpi.tmp" &&
	check "without an index" test ! -e "$W/disk.raw.tpi" || return 1
	agent_kill a
	agent a "$PORT_A" --plan-rate 1M && wait_for test -e "$W/images-a/g/vm0.mem.tpi.tmp" &&
	images remove vm0 --group g --yes && check "so was a kept one" test -e "$W/images-a/g/vm0.mem.tpi.tmp" &&
	check "which ends" wait_for test ! -e "$W/images-a/g/vm0.mem.tpi.tmp" &&
	check "without an index, too" test ! -e "$W/images-a/g/vm0.mem.tpi"
}

t_removed_missing() { # one whose file has gone is forgotten with its index
	worlds
	disk disk.raw
	images add "$W/disk.raw" --group g && images index 2>/dev/null && rm "$W/disk.raw" &&
	images remove disk.raw --group g && check "it has gone" listed "" &&
	check "with its index" test ! -e "$W/disk.raw.tpi"
}

t_malformed() { # a registration that somebody has written by hand and badly is told of, and goes
	worlds
	disk disk.raw
	images add "$W/disk.raw" --group g && echo disk.raw >"$W/images-a/g/base.link" || return 1
	images list >"$W/out" && says "$W/out" "g *base *disk .*/g/base.link: registers nothing: " &&
	says "$W/out" "g *disk.raw *disk .* no *$W/disk.raw\$" &&
	images list --json | says /dev/stdin '"index":null,"error":"registers nothing: ' &&
	refused 1 "g/base.link: registers nothing: " index base --group g &&
	agent a "$PORT_A" &&
	check "by the agent, too" wait_for grep -q "image g/base: .*/g/base.link: registers nothing: " "$W/a.log" >/dev/null &&
	images add "$W/disk.raw" --name base --group g &&
	check "written anew" wait_for listed "g/base:disk:yes g/disk.raw:disk:yes" >/dev/null || return 1
	echo disk.raw >"$W/images-a/g/base.link"
	images remove base --group g && check "or forgotten" listed "g/disk.raw:disk:yes"
}

t_long() { # a long path, and what is wrong with it, are shown to their end
	worlds
	deep=$W/disk$(printf '%0200d' 0)/$(printf '%0200d' 0)
	name=$(printf '%063d' 0)
	mkdir -p "$deep/$name" && disk disk.raw && cp "$W/disk.raw" "$deep/disk.raw" &&
	images add "$deep/disk.raw" --group g --name "$name" && images list >"$W/out" &&
	says "$W/out" "^g  *$name  disk .* $deep/disk.raw\$" || return 1
	rm "$deep/disk.raw" && mkdir "$deep/disk.raw" && images list >"$W/out" &&
	says "$W/out" "^g  *$name  disk .* $deep/disk.raw: [^ ].*[a-z)]\$"
}

t_whose_fault() { # a file that cannot be registered and a store that cannot be written are told apart
	worlds
	disk disk.raw
	ln -s "$W/loop" "$W/loop"
	mkdir "$W/images-a" && touch "$W/images-a/g"
	refused 1 "add: $W/loop: " add "$W/loop" --group g &&
	refused 1 "add: $W/images-a: Not a directory" add "$W/disk.raw" --group g || return 1
	[ "$(id -u)" != 0 ] || return 0
	chmod 0 "$W/disk.raw"
	refused 1 "add: $W/disk.raw: Permission denied" add "$W/disk.raw" --group h
}

on_terminal() { # command...
	python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' "$@" </dev/null
}

t_budget() { # how much kept images take, and may
	worlds
	disk disk.raw
	mkdir -p "$W/images-a/g" "$W/images-a/h" && cp "$W/disk.raw" "$W/images-a/h/vm0.mem"
	bytes=$(($(stat -c %b "$W/images-a/h/vm0.mem") * 512))
	budget() { # of the list: that
		is=$(images list --group g --socket "$W/a.sock" --json |
			python3 -c 'import json, sys; print(json.load(sys.stdin)["kept"])')
		[ "$is" = "$1" ] || { echo "# $is"; return 1; }
	}
	check "nobody knows what they may" budget "{'bytes': $bytes, 'budget': None}" || return 1
	agent a "$PORT_A" --keep-images 1G || return 1
	check "the agent does" budget "{'bytes': $bytes, 'budget': 1073741824}" &&
	on_terminal "$TELEPAGE" images --dir "$W/images-a" --socket "$W/a.sock" >"$W/out" &&
	says "$W/out" "kept images take [45].* MiB of 1 GiB" &&
	images list --socket "$W/a.sock" >"$W/out" && check "only there" sh -c "! grep take '$W/out'" &&
	check "not of another store" test "$("$TELEPAGE" images --dir "$W/images-b" --socket "$W/a.sock" --json)" = \
		'{"images":[],"kept":{"bytes":0,"budget":null}}' || return 1
	agent_kill a
	agent a "$PORT_A" && check "nor without one" budget "{'bytes': $bytes, 'budget': 0}" || return 1
	agent_kill a
	rm -r "$W/images-a"
	agent a "$PORT_A" --keep-images 1G &&
	check "before there is a store, too" budget "{'bytes': 0, 'budget': 1073741824}"
}

t_stuck_agent() { # one that does not answer keeps nobody from seeing what there is
	worlds
	disk disk.raw && images add "$W/disk.raw" --group g && agent a "$PORT_A" --keep-images 1G || return 1
	stand_still "$pid_a"
	timeout 60 "$TELEPAGE" images --dir "$W/images-a" --socket "$W/a.sock" --json >"$W/out"
	ret=$?
	kill -CONT "$pid_a"
	check "it was listed" test "$ret" = 0 && says "$W/out" '"name":"disk.raw"' &&
	says "$W/out" '"budget":null'
}

t_unreadable() { # what may not be seen is not "no images"
	worlds
	disk disk.raw && images add "$W/disk.raw" --group g && chmod 000 "$W/images-a/g" || return 1
	without="setpriv --bounding-set -dac_override,-dac_read_search"
	! $without "$TELEPAGE" images --dir "$W/images-a" --socket "$W/a.sock" >"$W/out" 2>"$W/err" &&
	says "$W/err" "denied" && check "nothing is said of none" sh -c "! grep -q 'no images' '$W/out' '$W/err'"
	ret=$?
	chmod 700 "$W/images-a/g"
	return "$ret"
}

indexing() { # of the big one, in the background
	"$TELEPAGE" images index big --group g --dir "$W/images-a" 2>"$W/err" &
	p=$!
	pids="$pids $p"
	wait_for test -e "$W/disk.big.tpi.tmp"
}

t_stopped() { # an index that is not finished leaves nothing
	worlds
	disk disk.raw && truncate -s 1T "$W/disk.big"
	images add "$W/disk.raw" --group g && images add "$W/disk.big" --name big --group g || return 1
	for sig in TERM HUP; do
		check "one is being made" indexing && kill -"$sig" "$p"
		wait "$p" 2>/dev/null
		check "it ends by SIG$sig" test "$(kill -l $?)" = "$sig" &&
		check "and nothing is left" test ! -e "$W/disk.big.tpi.tmp" || return 1
	done
	check "one is being made" indexing && kill -KILL "$p"
	wait "$p" 2>/dev/null
	check "what is killed leaves something" test -e "$W/disk.big.tpi.tmp" &&
	images index disk.raw --group g 2>/dev/null &&
	check "until the next time" test ! -e "$W/disk.big.tpi.tmp" || return 1
	check "one is being made" indexing && kill -KILL "$p"
	wait "$p" 2>/dev/null
	rm "$W/disk.big" && disk disk.big && agent a "$PORT_A" &&
	check "or the agent does it" wait_for test ! -e "$W/disk.big.tpi.tmp"
}

indexer() { # its pid
	tr -d ' ' <"/proc/$pid_a/task/$pid_a/children"
}

t_background() { # the agent indexes what is registered and not written to
	worlds
	disk disk.raw && disk disk2
	# written to just now
	touch "$W/disk2"
	images add "$W/disk.raw" --group g && images add "$W/disk2" --group h &&
	cp "$W/disk.raw" "$W/images-a/g/vm0.mem" && touch -d '1 minute ago' "$W/images-a/g/vm0.mem" &&
	agent a "$PORT_A" || return 1
	check "all but that one" wait_for listed "g/disk.raw:disk:yes g/vm0:kept:yes h/disk2:disk:no" \
		>/dev/null || return 1
	p=$(indexer)
	check "a child does it" test -n "$p" || return 1
	check "with no descriptors of the agent's" test "$(cd "/proc/$p/fd" && echo *)" = "0 1 2" &&
	check "at nice 19" test "$(cut -d ' ' -f 19 "/proc/$p/stat")" = 19 &&
	check "when nobody else wants the CPU" test "$(cut -d ' ' -f 41 "/proc/$p/stat")" = 5 || return 1
	agent_kill a
	# also when nobody is there to wait for it
	check "it ends with the agent" wait_for test ! -e "/proc/$p/exe"
}

t_indexed_after_all() { # what was in the way of an index is moved away
	worlds
	disk disk.raw && echo "a letter" >"$W/disk.raw.tpi" && images add "$W/disk.raw" --group g &&
	agent a "$PORT_A" && says "$W/a.log" "no index of $W/disk.raw: " || return 1
	check "it is no index" grep -qx "a letter" "$W/disk.raw.tpi" && rm "$W/disk.raw.tpi" &&
	check "then there is one" wait_for listed "g/disk.raw:disk:yes" >/dev/null &&
	check "it was told once" test "$(grep -c "no index of" "$W/a.log")" = 1
}

t_bad_index() { # an index that is anything at all keeps nobody from anything
	worlds
	disk disk.raw
	images add "$W/disk.raw" --group g && images index 2>/dev/null || return 1
	for how in 'head -c 5000' 'tr a b' 'head -c 0' 'head -c 128' 'cat /dev/null -'; do
		cp "$W/disk.raw.tpi" "$W/disk.good"
		$how <"$W/disk.good" >"$W/disk.raw.tpi"
		images list >/dev/null && images index 2>/dev/null &&
		check "after $how" listed "g/disk.raw:disk:yes" || return 1
	done
	rm "$W/disk.raw.tpi"
	mkfifo "$W/disk.raw.tpi"
	check "a pipe" listed "g/disk.raw:disk:stale" && images index 2>/dev/null &&
	check "is replaced" listed "g/disk.raw:disk:yes"
}

# shellcheck disable=SC2034	# of agent_lib.sh
QUICK=by_hand,refusals,whose,older,two_of_a_name,missing,malformed,long,whose_fault,budget,unreadable,stopped,background,bad_index
run_tests
