# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh source=selftests/bench/lib.sh
# The peers of filepeers.bench. serve_PEER, where there is one, starts what stays for all
# runs; use_PEER makes a run ready and sets what bench-visit is to know: begin, end and
# file, or port; drop_PEER ends it.
#
# What was tried, with the link of 25 ms and 100 Mbit/s: BBR is as good as cubic or better
# for all of them (telepage has its own); a megabyte of read-ahead better than the kernel's
# 128 KiB and than four, beside a reader of all of the file. To be told that a file is not
# read in order, where it is not, is better for nbdfuse and worse for NFS. With 100 ms
# more read-ahead is better for nbdfuse and worse for NFS, with 1 Gbit/s better for both.

T=$(mktemp -d)
IMAGE=$T/export/ram
CGROUPS=/sys/fs/cgroup

name_of() {
	case $1 in
	uffd) echo "a pager of one's own (userfaultfd, pager/)" ;;
	nbd) echo 'NBD (nbdkit, nbdfuse)' ;;
	nfs) echo "NFS 4.2 (the kernel's)" ;;
	*) echo "$1" ;;
	esac
}

# at SITE COMMAND...: keeps the mounts, which `ip netns exec` would not
at() {
	at_site=$1
	shift
	# shellcheck disable=SC2016 # it is that shell's
	nsenter --net="/run/netns/$at_site" -- \
		sh -c 'echo 0 >"$0" && exec "$@"' "$CGROUPS/$at_site/cgroup.procs" "$@"
}

# try TRIES COMMAND...: every tenth of a second
try() {
	try_left=$1
	shift
	until "$@"; do
		try_left=$((try_left - 1))
		[ $try_left != 0 ] || return 1
		sleep 0.1
	done
}

# sent: by both, on the line
sent() {
	for sent_by in src dst; do
		at $sent_by cat /proc/net/dev
	done | awk '$1 == "v:" { n += $10 } END { printf "%d\n", n }'
}

# source_ns: of CPU, by the source's processes and kernel threads; what interrupts do for
# it is nobody's
source_ns() {
	{
		awk '$1 == "usage_usec" { print $2 * 1000 }' "$CGROUPS/src/cpu.stat"
		for source_task in /proc/[0-9]*/task/*; do
			read -r source_name <"$source_task/comm" || continue
			case $source_name in
			nfsd | tp-?"${SL:-none}".*) cut -d ' ' -f 1 "$source_task/schedstat" ;;
			esac
		done 2>/dev/null
	} | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

daemons=

# peers_open: needs $pages, $seed and $peers
peers_open() {
	two_sites
	size=$((pages * 4))K
	mkdir -p "$CGROUPS/src" "$CGROUPS/dst" "$T/export"
	mkfifo "$T/read"
	modprobe tcp_bbr
	for open_site in src dst; do
		at $open_site sysctl -q -w net.ipv4.tcp_congestion_control=bbr
		# nothing of one run is known to the next
		at $open_site sysctl -q -w net.ipv4.tcp_no_metrics_save=1
	done
	# a filesystem of its own: that is what NFS can export
	mount -t tmpfs export "$T/export"
	trap peers_close EXIT
	truncate -s "$size" "$IMAGE"
	bench-content random "$IMAGE" "$seed"
	for open_peer in $peers; do
		case $open_peer in
		nbd | nfs) "serve_$open_peer" ;;
		esac
	done
}

peers_close() {
	peers_status=$?
	set +e
	for close_at in nfs nbd; do
		! mountpoint -q "$T/$close_at" || umount -l "$T/$close_at"
	done
	if mountpoint -q /proc/fs/nfsd; then
		echo 0 >/proc/fs/nfsd/threads
		umount /proc/fs/nfsd
	fi
	# shellcheck disable=SC2086 # process ids
	[ -z "$daemons" ] || kill $daemons
	umount -l "$T/export"
	rm -rf --one-file-system "$T"
	forget $peers_status
} 2>/dev/null

# read_ahead MOUNT KB: for those that open files of it from now on
read_ahead() { echo "${BENCH_READ_AHEAD_KB:-$2}" >"/sys/class/bdi/$(mountpoint -d "$1")/read_ahead_kb"; }

# all_of FILE: what telepage's push is to a file is to read it through in the background
all_of() {
	file=$1
	begin="{ dd if=$file of=/dev/null bs=1M 2>/dev/null; echo >$T/read; } &"
	end="read -r _ <$T/read"
	advice=
}

# --- telepage: two bulk lanes, as the agents have

use_telepage() {
	join 2
	region from "$size"
	bench-content random "$DIR/from" "$seed"
	export_region from
	id=$(telepage plumb serve from "$SL")
	region to "$size"
	telepage freeze from >/dev/null
	begin="telepage plumb region-import to --link $DL --export-id $id"
	end='bench-clock until /sys/fs/telepage/to/state local >/dev/null'
	file=$DIR/to advice=
}

drop_telepage() { forget_all; }

# --- a pager of one's own

port=7000

use_uffd() {
	port=$((port + 1))
	at src bench-pager "$SRC" "$port" "$IMAGE" &
	server=$!
	sleep 0.2
	file=
}

drop_uffd() { wait "$server"; }

# --- nbdkit, and nbdfuse with its four connections

serve_nbd() {
	mkdir "$T/nbd"
	at src nbdkit -r -i "$SRC" -P "$T/nbdkit.pid" -t 16 file "$IMAGE"
	daemons="$daemons $(cat "$T/nbdkit.pid")"
}

use_nbd() {
	at dst nbdfuse -r "$T/nbd/ram" "nbd://$SRC" &
	fuse=$!
	try 100 test -e "$T/nbd/ram" || die 'nbdfuse does not come up'
	ahead=$((rtt * mbit * 2 / 5))
	[ $ahead -ge 1024 ] || ahead=1024
	read_ahead "$T/nbd" $ahead
	all_of "$T/nbd/ram"
	[ "$order" = sequential ] || advice=random
}

drop_nbd() {
	umount "$T/nbd"
	wait "$fuse"
}

# --- the kernel's server and client of NFS 4.2, four connections

serve_nfs() {
	mkdir -p "$T/nfs" /var/lib/nfs/v4recovery
	touch /etc/exports /var/lib/nfs/etab /var/lib/nfs/rmtab
	modprobe -a nfsd nfsv4
	at src sh -c "mount -t nfsd nfsd /proc/fs/nfsd &&
		exportfs -o ro,fsid=0,no_root_squash,insecure,no_subtree_check '*:$T/export' &&
		rpc.mountd -N 2 -N 3 && rpc.nfsd -N 3 -G 10 -L 10 8" >&2 ||
		die 'no NFS server'
	daemons="$daemons $(pidof rpc.mountd)"
}

use_nfs() {
	at dst mount -t nfs4 -o ro,vers=4.2,nconnect=4 "$SRC:/" "$T/nfs" || die 'no NFS'
	read_ahead "$T/nfs" $((1024 * mbit / 100))
	all_of "$T/nfs/ram"
}

drop_nfs() { umount "$T/nfs"; }
