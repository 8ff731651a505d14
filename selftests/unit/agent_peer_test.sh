#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tier: full
#
# Who may do what: imports, exports, keys, strangers.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"
need_qemu
QUICK=import_file,strangers

t_import_file() { # a file, page for page
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	head -c 8388608 /dev/urandom >"$W/file"
	tp a export img --file "$W/file" || return 1
	tp b import disk --from "127.0.0.1:$PORT_A" --export img --wait --socket "$W/b.sock" 2>"$W/imp.err" ||
		{ cat "$W/imp.err"; return 1; }
	check "same content" cmp "$W/file" "$RAM/b/disk" &&
	check "links are gone at b" wait_for is_left b "disk 0 0 0" &&
	check "links are gone at a, the export stays" wait_for is_left a "- 1 0 0" || return 1
	! tp a export img --file "$W/file" 2>"$W/exp.err" && says "$W/exp.err" "telepage release"
}

t_workingset() { # what a region needed first is asked for when it comes again
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	dd if=/dev/urandom of="$W/img" bs=4096 count=64 2>/dev/null
	tp a export img --file "$W/img" || return 1
	: >"$W/touched"
	tp b import disk --from "127.0.0.1:$PORT_A" --export img --wait --socket "$W/b.sock" 2>"$W/imp.err" || return 1
	check "kept when it was whole" wait_for grep -qx "3 20" "$W/st-b/workingset/disk" || return 1
	tp b delete disk || return 1
	tp b import disk --from "127.0.0.1:$PORT_A" --export img --wait --socket "$W/b.sock" 2>"$W/imp.err" || return 1
	check "and replayed" grep -q '20 pages of its working set' "$W/b.log" || return 1
	tp b delete disk || return 1
	echo spoiled >"$W/st-b/workingset/disk"
	rm "$W/touched"
	tp b import disk --from "127.0.0.1:$PORT_A" --export img --wait --socket "$W/b.sock" 2>"$W/imp.err" || return 1
	check "a damaged one is left alone" grep -q 'left alone: it is no record' "$W/b.log"
}

to_pipe() { # what is read from a pipe that a record was exported to
	mkfifo "$W/pipe"
	timeout 20 cat "$W/pipe" >"$W/piped" & c=$!
	tp a workingset export disk "$W/pipe" && wait "$c" && test -p "$W/pipe"
}

from_pipe() { # what writes to it is slow, and there is more of it than goes in at once
	{
		sleep 1
		printf 'telepage-workingset 1\npages 99999\nruns 20000\n'
		seq -f '%.0f 10' 20000
	} >"$W/pipe" &
	timeout 20 "$TELEPAGE" workingset show disk "$W/pipe" | grep -q '^20,009 of 99,999 pages'
}

t_workingset_named() { # a pipe, a link, a file of somebody's: each stays what it is
	mkdir -p "$RAM/a"
	tp a create disk 1M >/dev/null || return 1
	: >"$W/touched"
	echo mine >"$W/rec.new"
	ln -s rec "$W/link"
	check "written" tp a workingset export disk "$W/link" &&
	check "where the link points" grep -qx "3 20" "$W/rec" &&
	check "the link stays" test -L "$W/link" &&
	check "again" tp a workingset export disk "$W/rec" &&
	check "for nobody else to read" test "$(stat -c %a "$W/rec")" = 600 &&
	check "a file beside it stays" grep -qx mine "$W/rec.new" &&
	check "to a pipe" to_pipe && check "it came out" cmp "$W/rec" "$W/piped" &&
	check "from a pipe" from_pipe || return 1
	rm -f "$W/touched" "$W/rec" "$W/rec.new" "$W/link" "$W/pipe" "$W/piped"
}

t_import_uffd() { # a VMM whose memory is its own can connect as soon as import returns
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	head -c 4194304 /dev/urandom >"$W/file"
	tp a export img --file "$W/file" || return 1
	tp b import img --from "127.0.0.1:$PORT_A" --uffd "$W/uffd" --socket "$W/b.sock" || return 1
	python3 - "$W/uffd" <<-'EOT' || return 1
	import array, os, socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	m = b'[{"base_host_virt_addr":4096,"size":4194304,"offset":0}]'
	s.sendmsg([m], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [os.pipe()[0]]))])
	s.settimeout(60)
	s.recv(1)
	EOT
	check "attached" says "$W/attached.img" '4096,4194304,0,4096' &&
	check "the socket is gone" test ! -e "$W/uffd" || return 1
	! tp b import no --from "127.0.0.1:$PORT_A" --uffd "$W/uffd" --socket "$W/b.sock" 2>"$W/imp.err" &&
	check "a failed import leaves no socket" test ! -e "$W/uffd"
}

t_import_region() { # waits for the freeze
	agent a "$PORT_A" && agent b "$PORT_B" && tp a create r 4M >/dev/null || return 1
	head -c 4194304 /dev/urandom | dd of="$RAM/a/r" conv=notrunc status=none
	tp a export r || return 1
	tp b create r 4M >/dev/null	# an untouched one is used
	tp b import r --from "127.0.0.1:$PORT_A" --socket "$W/b.sock" || return 1
	check "waits" test "$(left b)" = "r 0 1 0" || return 1
	tp a freeze r
	check "links are gone" wait_for is_left b "r 0 0 0" &&
	check "same content" cmp "$RAM/a/r" "$RAM/b/r"
}

t_import_restart() { # agents of both ends are replaced while it fills
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	head -c 4194304 /dev/urandom >"$W/file"
	touch "$W/hold"
	tp a export img --file "$W/file" &&
	tp b import disk --export img --from "127.0.0.1:$PORT_A" --socket "$W/b.sock" || return 1
	agent_kill b
	agent b "$PORT_B" || return 1
	local_say b '{"cmd":"status"}' >"$W/out"
	says "$W/out" '"export":"img"' || return 1
	agent_kill a
	agent a "$PORT_A" || return 1
	rm "$W/hold"
	check "links are gone at b: $(left b)" wait_for is_left b "disk 0 0 0" &&
	check "links are gone at a: $(left a)" wait_for is_left a "- 1 0 0" &&
	check "same content" cmp "$W/file" "$RAM/b/disk"
}

t_import_peer_mute() { # all is here, and the other agent does not answer just then
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	head -c 4194304 /dev/urandom >"$W/file"
	touch "$W/hold"
	tp a export img --file "$W/file" || return 1
	tp b import img --from "127.0.0.1:$PORT_A" --wait --socket "$W/b.sock" 2>"$W/imp.err" & i=$!
	check "fills" wait_for grep -q "from img of" "$W/b.log" || return 1
	stand_still "$pid_a"
	rm "$W/hold"
	wait_for not kill -0 "$i" 2>/dev/null
	ret=$?
	tp b delete img
	tp b import img --from "127.0.0.1:$PORT_A" --wait --socket "$W/b.sock" 2>"$W/imp.err" & j=$!
	sleep 0.3
	kill -CONT "$pid_a"
	check "the command is done" test "$ret" = 0 && wait "$i" || return 1
	check "another takes its name meanwhile" wait "$j" || return 1
	check "same content" cmp "$W/file" "$RAM/b/img"
	check "links are gone at a: $(left a)" wait_for is_left a "- 1 0 0"
}

t_import_refused() { # what is wrong is said, and nothing stays behind
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	! tp b import x --from "127.0.0.1:$PORT_A" --socket "$W/b.sock" 2>"$W/imp.err" &&
	says "$W/imp.err" "no export named x" || return 1
	head -c 8192 /dev/urandom >"$W/file"
	tp a export img --file "$W/file"
	tp b create img 4M >/dev/null
	! tp b import img --from "127.0.0.1:$PORT_A" --socket "$W/b.sock" 2>"$W/imp.err" &&
	says "$W/imp.err" "4194304 bytes" || return 1
	check "clean at b" wait_for is_left b "img 0 0 0" &&
	check "clean at a" wait_for is_left a "- 1 0 0"
}

t_move_is_not_export() { # a move's memory cannot be imported by others
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --no-wait || return 1
	! tp b import spy --from "127.0.0.1:$PORT_A" --export vm0 --socket "$W/b.sock" 2>"$W/imp.err" &&
	says "$W/imp.err" "no export named vm0"
}

t_plain() { # both in the clear
	PLAIN=--insecure-plain
	two || return 1
	move vm0 a "$PORT_B" || return 1
	moved
}

t_plain_peer() { # one of two in the clear: both say what to do
	agent a "$PORT_A" && PLAIN=--insecure-plain && agent b "$PORT_B" && vm_start a || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "its agent talks in the clear" &&
	says "$W/b.log" "this agent talks in the clear, the other does not: telepage agent init" || return 1
	! tp b import r --from "127.0.0.1:$PORT_A" --socket "$W/b.sock" 2>"$W/imp.err" &&
	says "$W/imp.err" "does not talk in the clear: telepage agent init" &&
	says "$W/a.log" "refused: this agent does not talk in the clear" || return 1
	python3 "$HELPER" say "$PORT_A" '{"telepage":1,"version":1,"role":"control"}' >"$W/out"
	says "$W/out" "does not talk in the clear" || return 1
	check "nobody is told to do without keys" sh -c "! grep -h insecure '$W'/*.log '$W'/*.err '$W/out'" || return 1
	unmoved
}

t_other_key() { # a peer with another shared key
	"$TELEPAGE" agent init --keys "$W/keys-b" >/dev/null
	agent a "$PORT_A" && agent b "$PORT_B" --keys "$W/keys-b" && vm_start a || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "has other keys: telepage agent init" &&
	says "$W/b.log" "refused: it has other keys" || return 1
	unmoved
}

certificates() { # for agents a and b
	"$TELEPAGE" agent init --keys "$W/keys-a" --ca --name host-a,127.0.0.1 >/dev/null &&
	"$TELEPAGE" agent init --keys "$W/keys-a" --issue host-b,127.0.0.1 |
		"$TELEPAGE" agent init --keys "$W/keys-b" --import - >/dev/null
}

t_certificates() { # a move between hosts that have names
	certificates || return 1
	agent a "$PORT_A" --keys "$W/keys-a" && agent b "$PORT_B" --keys "$W/keys-b" || return 1
	vm_start a && move vm0 a "$PORT_B" || return 1
	says "$W/b.log" "prepared for 127.0.0.1 host-a" && moved
}

t_certificate_and_key() { # a shared key where a certificate is wanted
	certificates || return 1
	agent a "$PORT_A" && agent b "$PORT_B" --keys "$W/keys-b" && vm_start a || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "has other keys" || return 1
	unmoved
}

t_export_to() { # who has a certificate gets what names it
	certificates || return 1
	agent a "$PORT_A" --keys "$W/keys-a" && agent b "$PORT_B" --keys "$W/keys-b" || return 1
	head -c 65536 /dev/urandom >"$W/file"
	tp a export none --file "$W/file" && tp a export other --file "$W/file" --to host-c --to host-bb &&
	tp a export ours --file "$W/file" --to host-c --to host-b && tp a export all --file "$W/file" --to any ||
		return 1
	for e in none other; do
		! tp b import "$e" --from "127.0.0.1:$PORT_A" --socket "$W/b.sock" 2>"$W/imp.err" &&
		says "$W/imp.err" "no export named $e for host-b here (telepage export $e --to host-b)" || return 1
	done
	for e in ours all; do
		tp b import "$e" --from "127.0.0.1:$PORT_A" --wait --socket "$W/b.sock" 2>"$W/imp.err" &&
		check "same content" cmp "$W/file" "$RAM/b/$e" || return 1
	done
}

has_argument() { # word: QEMU at b was started with it
	tr '\0' '\n' <"/proc/$(cat "$W/vm-b/vm0/pid")/cmdline" | grep -qx -- "$1"
}

t_accept_none() { # a host that takes no VMs gives its exports all the same
	agent a "$PORT_A" && agent b "$PORT_B" --accept-moves none && vm_start a || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "takes no VMs" && unmoved || return 1
	check "nothing is made for it" test ! -e "$W/vm-b/vm0" &&
	head -c 65536 /dev/urandom >"$W/file" && tp b export e --file "$W/file" --to any &&
	tp a import e --from "127.0.0.1:$PORT_B" --wait --socket "$W/a.sock" 2>"$W/imp.err" &&
	check "same content" cmp "$W/file" "$RAM/a/e"
}

t_accept_known() { # who sends a VM does not say what is executed for it
	agent a "$PORT_A" && agent b "$PORT_B" --accept-moves known &&
	vm_start a "-uuid
00000000-0000-0000-0000-00000000000a" || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "vm0 is not known there: no $W/vm-b/vm0/args" && unmoved || return 1
	check "nothing is made for it" test ! -e "$W/vm-b/vm0" && mkdir "$W/vm-b/vm0" &&
	sed 's/000a$/000b/' "$W/vm-a/vm0/args" >"$W/vm-b/vm0/args" && cp "$W/vm-b/vm0/args" "$W/args" || return 1
	move vm0 a "$PORT_B" || { cat "$W/move.err"; return 1; }
	moved && check "started as it is known here" has_argument 00000000-0000-0000-0000-00000000000b &&
	check "not as the source says" not has_argument 00000000-0000-0000-0000-00000000000a &&
	check "which stays so" cmp "$W/args" "$W/vm-b/vm0/args"
}

t_strangers() { # who does not speak the protocol
	PLAIN=--insecure-plain
	agent a "$PORT_A" || return 1
	python3 "$HELPER" say "$PORT_A" '{"telepage":1,"version":9,"role":"control"}' >"$W/out"
	says "$W/out" "speaks version 1 of the control protocol, you speak 9" || return 1
	python3 "$HELPER" say "$PORT_A" '{"telepage":1,"version":1,"role":"lane","link":"0123","lane":0}' >"$W/out"
	says "$W/out" "unknown link" || return 1
	python3 "$HELPER" say "$PORT_A" '{"telepage":1,"version":1,"role":"state","link":"0123"}' >"$W/out"
	says "$W/out" "no move waits" || return 1
	python3 "$HELPER" say "$PORT_A" 'GET / HTTP/1.0' >"$W/out"
	check "HTTP gets nothing" test ! -s "$W/out" || return 1
	python3 "$HELPER" say "$PORT_A" - >"$W/out"
	python3 "$HELPER" say "$PORT_A" '{"telepage":1,"version":1,"role":"control"}
{"id":1,"op":"prepare","move":"../../../etc/passwd","vm":"x","regions":[]}
{"id":2,"op":"prepare","move":"0123456789abcdef0123456789abcdef","vm":"../x","regions":[{"name":"r","size":4096}],"bulk":2}
{"id":3,"op":"prepare","move":"0123456789abcdef0123456789abcdef","vm":"x","regions":[{"name":"../r","size":4096}],"bulk":2}
{"id":4,"op":"prepare","move":"0123456789abcdef0123456789abcdef","vm":"x","regions":[{"name":"r","size":-4096}],"bulk":2}
{"id":5,"op":"commit","move":"0123456789abcdef0123456789abcdef"}
{"id":6,"op":"start","move":7}
{"id":7,"op":"frobnicate"}
[1,2,3]' >"$W/out"
	for i in 1 2 3 4 5 6 7; do
		grep -q "\"re\":$i" "$W/out" || { echo "# no answer to $i"; cat "$W/out"; return 1; }
	done
	! grep '"re"' "$W/out" | grep -v '"error"' || return 1
	kill -0 "$pid_a" && check "nothing was made" is_left a "- 0 0 0"
}

t_dropped_prepare() { # a peer that prepares and vanishes leaves nothing
	PLAIN=--insecure-plain
	agent a "$PORT_A" || return 1
	python3 "$HELPER" say "$PORT_A" '{"telepage":1,"version":1,"role":"control"}
{"id":1,"op":"prepare","move":"0123456789abcdef0123456789abcdef","vm":"x","regions":[{"name":"r","size":1048576}],"bulk":2}' >"$W/out"
	says "$W/out" '"token"' || return 1
	check "undone" wait_for is_left a "- 0 0 0" &&
	check "its directory too" test ! -e "$W/vm-a/x"
}

run_tests
