#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A guest that goes to another host and comes back, its heartbeats on a console here and
# one there: wherever in a line it is cut, twice, no beat is counted as lost. And one that
# is lost is seen. No root needed, nor the module.
# TAP on stdout, exit 4: skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)
guestio=${BUILD:-$here/../../build}/selftests/guestio
[ -x "$guestio" ] || {
	echo "1..0 # SKIP no $guestio: make selftests"
	exit 4
}
W=$(mktemp -d /tmp/tp-console.XXXXXX)
OUT=$W LAB_HOST=a
# shellcheck source=selftests/guest/lib.sh
. "$here/lib.sh"
trap 'rm -rf "$W"' EXIT

# consoles CUT BACK: logs of a guest that wrote here, there, and here again; what it wrote
# is cut behind the byte CUT of its second beat and BACK of its fourth
consoles() {
	python3 - "$guestio" "$W" "$1" "$2" <<-'EOP'
		import os, socket, subprocess, sys
		guestio, w, cut, back = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
		beats = [b"hb %d t=%d.000 boot=0123abcd\r\n" % (i, 100 + i) for i in range(8, 14)]
		first = len(b"".join(beats[:1])) + cut
		second = len(b"".join(beats[:3])) + back
		all = b"".join(beats)
		parts = {"a": [all[:first], all[second:]], "b": [all[first:second]]}
		for host, visits in parts.items():
		    path, log, fifo = (os.path.join(w, host + e) for e in (".sock", ".log", ".fifo"))
		    for f in path, log, fifo:
		        if os.path.exists(f):
		            os.unlink(f)
		    os.mkfifo(fifo)
		    s = socket.socket(socket.AF_UNIX)
		    s.bind(path)
		    s.listen()
		    logger = subprocess.Popen([guestio, "log", path, log, fifo])
		    for what in visits:
		        c = s.accept()[0]
		        c.sendall(what)
		        c.close()
		    # it is done with the last one when it comes again
		    s.accept()[0].close()
		    logger.kill()
		    logger.wait()
	EOP
}

in_order() {
	{
		sed '/^[^ ]* ~/q' "$W/a.log"
		cat "$W/b.log"
		sed '1,/^[^ ]* ~/d' "$W/a.log"
	} | beats_in_order
}

every_cut() { # of the first cut, and of the second at another place
	at=0
	while [ "$at" -le 31 ]; do
		consoles "$at" $(((at * 7 + 30) % 32)) || return 1
		in_order || {
			echo "cut behind byte $at and $(((at * 7 + 30) % 32)):"
			cat "$W/a.log" - "$W/b.log" <<-'EOT'
				-- there:
			EOT
			return 1
		}
		at=$((at + 1))
	done
}

lost() {
	consoles 5 5 && sed -i '/ hb 12 /d' "$W/a.log" "$W/b.log" && ! in_order
}

check "no beat is lost where a line is cut" every_cut
check "one that is lost is seen" lost
finish
