# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash source=selftests/bench/lib.sh
# What peers.bench and redis.bench share: a guest is moved over the same line by telepage
# and by QEMU's own postcopy, on host a, with lib.sh and peers.sh. Set before moves_measure:
#
#	load		what the guest is and does: parameters of its first process
#	counts, beat_ms	what it counts ("visits"), and the time between two heartbeats
#	of_counts	not empty: downtime is without any of these, not without a heartbeat
#	waits		not empty: the guest can say how long its visits took
#	settle		seconds that it needs until it works as usual (0)
#	how		what more is to be known of each figure
#	prefix		of each figure's name ('')
#	rtt_ms, rate_kbit, repeats	of the line (25, 100000); moves of each way (3)
#	ways		how it is moved (hybrid qemu_round postcopy qemu); what loses little is to
#			be repeated first
#	aims		empty: none of the ratios has a target (1)
#	prepare		a function that makes what such a guest needs, for both hosts (true)
#
# BENCH_WAYS: which ones, also precopy and postcopy_cold; BENCH_REPEATS; BENCH_SECONDS: for no
# longer; BENCH_SLOWER: see below.

# An emulated CPU needs longer for a page than the line does. So all else is slower, too,
# by as much: the round trip, the line, the guest's work; and times are divided.
slower=${BENCH_SLOWER:-4}
rtt_ms=${rtt_ms:-25} rate_kbit=${rate_kbit:-100000}
ways=${BENCH_WAYS:-${ways:-'hybrid qemu_round postcopy qemu'}}
repeats=${BENCH_REPEATS:-${repeats:-3}}
[ -z "${BENCH_SHORT:-}" ] || repeats=1
# where to end even if not all was repeated as often as wanted
deadline=$(($(date +%s) + ${BENCH_SECONDS:-560}))
aims=${aims-1} prefix=${prefix:-} of_counts='' waits='' settle=0 prepare=true

CLOCK_PORT=7777
results=$(mktemp -d)
n=0

leave() {
	status=$?
	[ $status = 0 ] || diagnose >&2
	everywhere host_close >&2
	rm -rf "$results"
	exit $status
}

sent_by_both() { echo $(($(sent) + $(on b sent))); }
# both ends of the line, as `slower` asks for; the queue as the lab has it
slow_line() {
	everywhere line_change "s/delay [^ ]*/delay $((rtt_ms * slower * 500))us/
		s/rate [^ ]*/rate $((rate_kbit / slower))kbit/"
}

compare_clocks() { guestio clock 10.78.0.2 $CLOCK_PORT | cut -d' ' -f1; }

# --- the ways: each sets command (when it was asked for), begun (when there was
# somebody to send to) and ended (when the source was needed no more), and leaves
# demand faults, if it knows them

telepage_way() {
	command=$(guestio now)
	case $1 in
	postcopy_cold) set -- --mode postcopy --warm 0 --sample 0 ;;
	*) set -- --mode "$1" ;;
	esac
	vm_move "$vm" b "$@" || die "$(cat "$GUEST_LOG/$vm.move.json")"
	ended=$(guestio now)
	jq -c . "$GUEST_LOG/$vm.move.json" >&2
	begun=$(jq -r "$command + (.prepare_ms - (.live.ms // 0)) / 1000" "$GUEST_LOG/$vm.move.json")
	demand=$(jq -r .pages_demand "$GUEST_LOG/$vm.move.json")
}

# qemu_way [ROUNDS]: with as many rounds of precopy before it
qemu_way() {
	on b plain_args "$vm" "$load" || die "arguments"
	capabilities "$vm" || die "no postcopy"
	# neither more bandwidth than there is, nor an end before postcopy could begin
	qmp "$vm" migrate-set-parameters \
		'{"max-bandwidth":1000000000,"max-postcopy-bandwidth":0,"downtime-limit":1}' >&2
	talk "$vm" || die "no QMP"
	command=$(guestio now)
	on b incoming "$vm" >&2 || die "nobody waits at b"
	begun=$(guestio now)
	tell migrate "{\"uri\":\"tcp:host-b:$MIGRATE_PORT\"}"
	hear '"return"' >&2 || die "no migration"
	# the first pass is said when it begins
	[ -z "${1:-}" ] || hear MIGRATION_PASS "\"pass\": $(($1 + 1))}" >&2 || die "no round"
	tell migrate-start-postcopy
	if hear '"status": "postcopy-active"' >&2; then
		hear '"status": "completed"' >&2 || die "the migration does not end"
	else
		case $heard in
		*'"completed"'*) say "$vm: precopy was done before postcopy could begin" ;;
		*) die "no postcopy" ;;
		esac
	fi
	ended=$(guestio now)
	tell query-migrate
	hear '"return"' '"status"' >"$GUEST_LOG/$vm.migrate.json" || die "no word of it"
	hang_up
	# with it goes its console, and what the guest had written of a line comes to the log
	qmp "$vm" quit >&2
	jq -c .return "$GUEST_LOG/$vm.migrate.json" >&2
	demand=$(jq -r '.return.ram."postcopy-requests"' "$GUEST_LOG/$vm.migrate.json")
}

# until_back: ten seconds after the switch have to be over, and the guest back at work
until_back() {
	tries=0
	# looking earlier costs what the guest is to have
	left=$(tail -n 1 "$GUEST_LOG/$vm.log" | awk -v now="$(guestio now)" -v slower="$slower" \
		'{ left = $1 + 11 * slower - now; print (left > 0 ? int(left) : 0) }')
	sleep "$left"
	while :; do
		sleep 4
		between=$(calc "($offset + $(compare_clocks)) / 2")
		on b cat "$GUEST_LOG/$vm.log" >"$GUEST_LOG/$vm.b.log"
		if awk -v offset="$between" -v command="$command" -v slower="$slower" \
			-v of_counts="$of_counts" -v bins="$bins/$vm.bins" -f /lab/files/bench/peers.awk \
			"$GUEST_LOG/$vm.log" "$GUEST_LOG/$vm.b.log" >"$results/one" && ! grep -q '^late' "$results/one"; then
			return
		fi
		tries=$((tries + 1))
		[ $tries -lt 30 ] || die "$vm did not survive its move, or does not come back to work"
	done
}

# one_move WAY: a line of its figures is added to $results/WAY.NAME each
one_move() {
	n=$((n + 1)) vm=$1$n
	case $1 in
	qemu*) plain_run "$vm" "$load" >&2 || die "no guest" ;;
	*) vm_run "$vm" "$load" >&2 || die "no guest" ;;
	esac
	on b console_open "$vm"
	offset=$(compare_clocks)
	idle=$(guestio now) idle_cpu=$(cpu_spent)
	sleep $((4 * slower + 1 + settle))
	[ -z "$waits" ] || vm_ask "$vm" 'waits new' 'waits new' 20 >&2 || die "no waits"
	before=$(sent_by_both) ours=$(cpu_spent) theirs=$(on b cpu_spent)
	idle=$(calc "($ours - $idle_cpu) / ($(guestio now) - $idle)")
	case $1 in
	qemu) qemu_way ;;
	qemu_round) qemu_way 1 ;;
	*) telepage_way "$1" ;;
	esac
	bytes=$(($(sent_by_both) - before))
	ours=$(($(cpu_spent) - ours)) theirs=$(($(on b cpu_spent) - theirs))
	until_back
	[ -z "$waits" ] || on b vm_ask "$vm" waits 'waits n=' 60 >"$results/waits" || die "no waits"
	stop=$(of stop <"$results/one")
	{
		grep -v '^stop ' "$results/one"
		echo "total $(calc "($ended - $command) / $slower")"
		echo "sending $(calc "($ended - $begun) / $slower")"
		echo "switch $(calc "($stop - $command) / $slower")"
		awk '$1 ~ /^lost/ { all += $2 } END { print "lost", all }' "$results/one"
		echo "bytes $bytes"
		echo "demand ${demand:-0}"
		# what the guest takes of a host when it is not moved is no part of it
		echo "cpu_source $(calc "($ours - $idle * ($stop - $command)) / 100")"
		echo "cpu_destination $(calc "$theirs / 100")"
		[ -z "$waits" ] || tr ' ' '\n' <"$results/waits" |
			awk -F = -v slower="$slower" 'NF == 2 { print "wait_" $1, $1 == "n" ? $2 : $2 / slower }'
	} >"$results/one.all"
	say "$vm: $(tr '\n' ' ' <"$results/one.all")"
	while read -r name value; do
		echo "$value" >>"$results/$1.$name"
	done <"$results/one.all"
	on b gone "$vm" >&2 || die "$vm does not go at b"
	gone "$vm" >&2 || die "$vm does not go"
}

measured() { [ -s "$results/$1.total" ]; }

# m WAY NAME: the median
m() { median <"$results/$1.$2"; }

moves_open() {
	trap leave EXIT
	bins=$OUT/$(basename "$0" .bench)
	mkdir "$bins"
	echo "$counts" >"$bins/counts"
	everywhere host_open >&2 || die "no guest can run here"
	everywhere "$prepare" >&2 || die "$prepare"
	everywhere agent_start >&2 || die "no agents"
	on b clock_serve $CLOCK_PORT
	slow_line
	say "line: $(line_config); $(ping -q -c 3 host-b | tail -n 1)"
	how="is $slower times slower than given here and times are divided; $how; line of $rtt_ms ms RTT and"
	how="guest of $GUEST_RAM with one CPU, emulated: times are only good against each other, all of it $how"
	how="$how $((rate_kbit / 1000)) Mbit/s; telepage's agents encrypt, QEMU does not;"
	how="$how median of the moves that there was time for"
}

move_all() {
	longest=0
	for _ in $(seq "$repeats"); do
		for way in $ways; do
			begin=$(date +%s)
			[ $((begin + longest)) -lt "$deadline" ] || break 2
			one_move "$way"
			took=$(($(date +%s) - begin))
			[ $took -le $longest ] || longest=$took
		done
	done
	say "$n moves"
}

# what each way did
figures_of_ways() {
	gap="gap between heartbeats of $beat_ms ms"
	[ -z "$of_counts" ] || gap="time without any $counts, which are counted each $beat_ms ms,"
	for way in $ways; do
		measured "$way" || continue
		case $way in
		qemu) what="QEMU's postcopy with preempt, at once" ;;
		qemu_round) what="QEMU's postcopy with preempt, after one round of precopy" ;;
		postcopy_cold) what="telepage move --mode postcopy --warm 0 --sample 0" ;;
		*) what="telepage move --mode $way" ;;
		esac
		what="$what ($(wc -l <"$results/$way.total") moves)"
		figure "$prefix${way}_downtime_ms" "$(calc "1000 * $(m "$way" downtime)")" ms '' \
			"$what: longest $gap in the ten seconds from the last heartbeat at the source; to the first one" \
			"at the destination: $(calc "1000 * $(m "$way" first_beat)") ms; $how"
		figure "$prefix${way}_recover90_s" "$(m "$way" recover90)" s '' \
			"$what: from the last heartbeat at the source to the first second with 90 % of the $counts of" \
			"before; usual: $(m "$way" usual) a second; $how"
		figure "$prefix${way}_command90_s" "$(m "$way" command90)" s '' \
			"$what: the same from the command; $how"
		figure "$prefix${way}_lost10s_s" "$(m "$way" lost10s)" s '' \
			"$what: $counts missing in the ten seconds from that heartbeat, as seconds of the usual" \
			"number; missing between command and switch: $(m "$way" lost_before); $how"
		figure "$prefix${way}_lost_s" "$(m "$way" lost)" s '' \
			"$what: the same from the command to ten seconds after the switch; $how"
		figure "$prefix${way}_total_s" "$(m "$way" total)" s '' \
			"$what: from the command, which starts the destination's QEMU, to the source being needed" \
			"no more; without the preparation: $(m "$way" sending); $how"
		figure "$prefix${way}_bytes" "$(m "$way" bytes)" B '' \
			"$what: sent by both hosts on the line, headers and TCP's included; $how"
		figure "$prefix${way}_demand" "$(m "$way" demand)" '' '' "$what: pages asked for; $how"
		figure "$prefix${way}_cpu_source_s" "$(m "$way" cpu_source)" s '' \
			"$what: CPU time at the source from the command to it being needed no more, without what the" \
			"guest and its QEMU take when it is not moved (not divided); $how"
		figure "$prefix${way}_cpu_destination_s" "$(m "$way" cpu_destination)" s '' \
			"$what: CPU time at the destination meanwhile, without the guest's own (not divided); $how"
		[ -n "$waits" ] || continue
		for of in p50 p99 p999 max; do
			figure "$prefix${way}_wait_${of}_us" "$(m "$way" "wait_$of")" us '' \
				"$what: visits of a page took less than this from the command until ten seconds after the" \
				"switch, by the guest's clock ($of of $(m "$way" wait_n), a quarter of an octave exact); $how"
		done
	done
}

# least NAME WAY...: the least of the medians of those that were measured
least() {
	least_name=$1
	shift
	for way; do
		! measured "$way" || m "$way" "$least_name"
	done | sort -g | head -n 1
}

# ratio FIGURE TARGET NAME OURS THEIRS WORDS
ratio() {
	# shellcheck disable=SC2086 # words
	ours=$(least "$3" $4) theirs=$(least "$3" $5)
	[ -n "$ours" ] && [ -n "$theirs" ] || return 0
	if [ "$(calc "($theirs > 0)")" != 1 ]; then
		say "$1: $ours against $theirs: no ratio"
	else
		figure "$prefix$1" "$(calc "$ours / $theirs")" ratio "$2" "$6 ($ours against $theirs); $how"
	fi
}

# against NAME TARGET: what each does best, then like with like
against() {
	ratio "$1_vs_qemu" "$2" "$1" 'postcopy hybrid' 'qemu qemu_round' \
		"the better of move's modes postcopy and hybrid against the better of QEMU's two"
	ratio "$1_vs_qemu_postcopy" "$2" "$1" postcopy qemu \
		"telepage move --mode postcopy against QEMU's postcopy with preempt at once"
	ratio "$1_vs_qemu_hybrid" "$2" "$1" hybrid qemu_round \
		"telepage move --mode hybrid against QEMU's postcopy with preempt after one round of precopy"
}

# aim NAME TARGET: which is for the line and the guest that most moves have
aim() {
	if [ -n "$aims" ] && [ "$rtt_ms.$rate_kbit" = 25.100000 ]; then
		against "$1" "$2"
	else
		against "$1" ''
	fi
}

# moves_measure: all of it
moves_measure() {
	moves_open
	move_all
	figures_of_ways
	aim recover90 '<= 0.5'
	aim lost10s '<= 0.5'
	aim downtime '<= 1.1'
	aim total '<= 0.7'
	aim bytes '<= 0.7'
	against lost ''
	against command90 ''
	against cpu_source ''
	against cpu_destination ''
}
