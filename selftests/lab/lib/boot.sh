# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2054 # the commas are QEMU's
# From options to running hosts, and watching them until there is a verdict.

declare -A PID=() SCRIPT_STATUS=() VERDICT=() FELL=() PAUSES=() STANDS_UNTIL=()
READERS=()

# boot_hosts: needs everything opened; makes WORK, starts the hosts.
boot_hosts() {
	local host

	# Short, because a unix socket's path has about a hundred characters.
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/lab.XXXXXX") || die "no temporary directory"
	payload_make "$WORK/payload.img"
	for host in "${HOST_NAMES[@]}"; do
		boot_one "$host"
		# b connects to what a listens on.
		[ "$HOSTS" = 1 ] || boot_wait_for "$WORK/eth1"
	done
}

boot_wait_for() {
	local n

	for ((n = 0; n < 1200; n++)); do
		[ ! -S "$1" ] || return 0
		boot_nap 0.05
	done
	die "QEMU does not start: $(tail -n 3 "$OUT_DIR/a/qemu.log")"
}

# A sleep without a process: nobody ever writes to this pipe.
boot_nap() { read -rt "$1" -u "$NAP" || true; }

boot_one() {
	local host=$1 dir=$OUT_DIR/$1 work=$WORK/$1
	local -a machine=() network=() console=() packages=()

	rm -rf "$dir"
	mkdir -p "$dir" "$work"
	mkfifo "$work"/{stdout,stderr,control.in,control.out}
	: >"$dir/verdict"
	: >"$work/pause"
	truncate -s 8G "$work/out.img"
	tree_run mke2fs -q -F -t ext4 -m 0 -N 65536 -J size=16 \
		-E nodiscard,lazy_itable_init=1,root_owner=0:0 "$work/out.img" >&2 || die "mke2fs failed"
	boot_reader "$host" stdout script.out &
	READERS+=($!)
	boot_reader "$host" stderr script.err >&2 &
	READERS+=($!)

	if [ -n "$ICOUNT" ]; then
		machine=(-accel tcg,thread=single -icount shift=0,sleep=off -rtc clock=vm -cpu EPYC -smp 1)
	elif [ "$ACCEL" = kvm ]; then
		machine=(-accel kvm -cpu host -smp "$CPUS")
	else
		machine=(-accel "tcg,thread=$([ -n "$TURNS" ] && echo single || echo multi)"
			-cpu EPYC -smp "$CPUS")
	fi
	[ -z "$PACKAGES_IMAGE" ] ||
		packages=(-drive "if=virtio,format=raw,readonly=on,file=$PACKAGES_IMAGE")
	[ "$HOSTS" = 1 ] || boot_network "$host"
	if [ -n "$SHELL_WANTED" ] && [ "$host" = a ]; then
		console=(-chardev stdio,id=tty,signal=off -device virtconsole,chardev=tty)
	fi

	qemu_command
	QEMU+=(-nodefaults -no-user-config -nographic -no-reboot
		-M q35 "${machine[@]}" -m "$MEM"
		-kernel "$KERNEL/vmlinux" -initrd "$BOOT/initrd.cpio" -append "$(boot_parameters "$host")"
		-chardev "file,id=console,path=$dir/console.log" -serial chardev:console
		-device virtio-serial-pci
		-chardev "file,id=stdout,path=$work/stdout" -device virtserialport,chardev=stdout,name=stdout
		-chardev "file,id=stderr,path=$work/stderr" -device virtserialport,chardev=stderr,name=stderr
		-chardev "file,id=verdict,path=$dir/verdict" -device virtserialport,chardev=verdict,name=verdict
		-chardev "file,id=pause,path=$work/pause" -device virtserialport,chardev=pause,name=pause
		-chardev "pipe,id=control,path=$work/control" -device virtserialport,chardev=control,name=control
		-drive "if=virtio,format=raw,readonly=on,file=$ROOT_IMAGE"
		-drive "if=virtio,format=raw,readonly=on,file=$BOOT/kernel.img"
		-drive "if=virtio,format=raw,readonly=on,file=$WORK/payload.img"
		-drive "if=virtio,format=raw,cache=unsafe,file=$work/out.img"
		"${packages[@]}" "${network[@]}" "${console[@]}")
	if [ "${#console[@]}" != 0 ]; then
		"${QEMU[@]}" <&0 2>"$dir/qemu.log" &
	else
		"${QEMU[@]}" </dev/null >"$dir/qemu.log" 2>&1 &
	fi
	PID[$host]=$!
}

# Two links: eth0 is the one to measure on, eth1 the one to drive hosts over.
boot_network() {
	local host=$1 nic server=on

	[ "$host" = a ] || server=off
	for nic in eth0 eth1; do
		network+=(-netdev "stream,id=$nic,server=$server,addr.type=unix,addr.path=$WORK/$nic"
			-device "virtio-net-pci,netdev=$nic,romfile=,mac=52:54:00:77:0${nic#eth}:0$((16#$host - 9))")
	done
}

# The stall detectors are for a kernel that has its CPUs to itself; emulated
# ones lose theirs for seconds on a busy machine.
boot_parameters() {
	local -a words=(
		"lab.host=$1" console=ttyS0 quiet loglevel=5 log_buf_len=4M
		panic=-1 oops=panic nokaslr
		"rcupdate.rcu_cpu_stall_timeout=$((SLOW > 1 ? 300 : 120))" "watchdog_thresh=$((SLOW > 1 ? 60 : 40))"
		cryptomgr.notests net.ifnames=0
	)
	[ "$ACCEL" = kvm ] || words+=(tsc=reliable no_timer_check mitigations=off)
	[ -z "$PACKAGES_IMAGE" ] || words+=(lab.packages)
	[ -z "$TSC_KHZ" ] || words+=("tsc_early_khz=$TSC_KHZ")
	echo "${words[*]}"
}

# boot_reader HOST CHANNEL FILE: shows it as it comes, and keeps it.
boot_reader() {
	local host=$1 channel=$2 file=$OUT_DIR/$1/$3

	if [ "$HOSTS" = 1 ]; then
		exec tee "$file" <"$WORK/$host/$channel"
	fi
	tee "$file" <"$WORK/$host/$channel" | sed -u "s/^/$host: /"
}

# Readers end when their QEMU does. One whose QEMU never came to open the pipe
# still waits for that, so the pipes are opened for them.
boot_end_readers() {
	local pid pipe

	for pid in "${READERS[@]}"; do
		while kill -0 "$pid" 2>/dev/null; do
			for pipe in "$WORK"/?/std???; do
				: 1<>"$pipe"
			done
			boot_nap 0.02
		done
	done
	wait
}

boot_running() { kill -0 "${PID[$1]}" 2>/dev/null; }

boot_tell() {
	# The pipe has a reader as long as its QEMU lives; <> does not block.
	! boot_running "$1" || echo "$2" 1<>"$WORK/$1/control.in"
}

# boot_watch: returns when every host is down. Sets SCRIPT_STATUS and VERDICT.
boot_watch() {
	local start=$SECONDS finished='' running host

	TIMED_OUT=
	while :; do
		running=0
		for host in "${HOST_NAMES[@]}"; do
			! boot_running "$host" || running=$((running + 1))
			boot_read "$host"
			boot_pause "$host"
		done
		[ "$running" != 0 ] || break
		if [ -z "$finished" ] && [ "${#SCRIPT_STATUS[@]}" = "$HOSTS" ]; then
			finished=1
			[ "$HOSTS" = 1 ] || for host in "${HOST_NAMES[@]}"; do
				boot_tell "$host" finish
			done
		fi
		# One host fell over: the other waits for it in vain.
		if [ "$running" != "$HOSTS" ] && boot_fell; then
			boot_nap 1
			break
		fi
		if [ "$TIMEOUT" != 0 ] && [ $((SECONDS - start)) -ge "$TIMEOUT" ]; then
			TIMED_OUT=1
			boot_dump
			break
		fi
		boot_nap 0.1
	done
	boot_fell || :
	boot_stop
	boot_end_readers
	for host in "${HOST_NAMES[@]}"; do
		boot_read "$host"
	done
}

# Has the hosts write down who is stuck where. One whose kernel is stuck cannot.
boot_dump() {
	local start=$SECONDS host

	for host in "${HOST_NAMES[@]}"; do
		boot_tell "$host" dump
	done
	for host in "${HOST_NAMES[@]}"; do
		while boot_running "$host" && [ $((SECONDS - start)) -lt 20 ] &&
			! grep -qx dumped "$OUT_DIR/$host/verdict"; do
			boot_nap 0.1
		done
	done
	# the serial line may be behind the kernel
	boot_nap 1
}

# Sets FELL for hosts that ended by themselves.
boot_fell() {
	local host

	for host in "${HOST_NAMES[@]}"; do
		boot_running "$host" || [ -n "${VERDICT[$host]:-}" ] || FELL[$host]=1
	done
	[ "${#FELL[@]}" != 0 ]
}

boot_read() {
	local host=$1 line
	local -a lines

	mapfile -t lines <"$OUT_DIR/$host/verdict"
	for line in "${lines[@]}"; do
		case $line in
		'exit '*) SCRIPT_STATUS[$host]=${line#exit } ;;
		'verdict '* | 'setup '*) VERDICT[$host]=$line ;;
		esac
	done
}

# A host that wants to stand still for a time (lab-pause): it does, and is told afterwards.
boot_pause() {
	local host=$1
	local -a asked

	if [ -n "${STANDS_UNTIL[$host]:-}" ]; then
		[ "$SECONDS" -ge "${STANDS_UNTIL[$host]}" ] || return 0
		unset "STANDS_UNTIL[$host]"
		kill -CONT "${PID[$host]}" 2>/dev/null
		boot_tell "$host" paused
		return 0
	fi
	mapfile -t asked <"$WORK/$host/pause"
	[ "${#asked[@]}" -gt "${PAUSES[$host]:-0}" ] || return 0
	PAUSES[$host]=${#asked[@]}
	kill -STOP "${PID[$host]}" 2>/dev/null
	# whole seconds: never less than was asked for
	STANDS_UNTIL[$host]=$((SECONDS + asked[-1] + 1))
}

# shellcheck disable=SC2317 # called by a trap, too
boot_stop() {
	local pid

	for pid in "${PID[@]}"; do
		kill -KILL "$pid" 2>/dev/null
	done
	PID=()
}

# boot_collect: what scripts left in OUT, and the logs. A host that did not end
# well left its disk as it was; the journal makes it readable.
boot_collect() {
	local host image

	for host in "${HOST_NAMES[@]}"; do
		image=$WORK/$host/out.img
		case ${VERDICT[$host]:-} in
		'verdict '*) ;;
		*) tree_run e2fsck -p "$image" >/dev/null 2>&1 ;;
		esac
		tree_run debugfs -R "rdump / $OUT_DIR/$host" "$image" >/dev/null 2>&1
		rm -rf "$OUT_DIR/$host/lost+found"
	done
}
