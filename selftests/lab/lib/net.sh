# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The shaped link. --net names what the whole link does; each host shapes its
# own egress, so each gets half of the delay and the whole of the rate.

# netem_options: NET as arguments of netem on one egress.
netem_options() {
	local -a words out=()
	local word i delay_us=0 rate_kbit=0

	[ -n "$NET" ] || return 0
	read -ra words <<<"$NET"
	for ((i = 0; i < ${#words[@]}; i++)); do
		word=${words[i]}
		out+=("$word")
		case $word in
		delay)
			i=$((i + 1)) delay_us=$(in_us "${words[i]:-}") || exit
			out+=("$((delay_us / 2))us")
			;;
		rate)
			i=$((i + 1)) rate_kbit=$(in_kbit "${words[i]:-}") || exit
			out+=("${rate_kbit}kbit")
			;;
		limit)
			out+=("${words[++i]:-}")
			printf '%s ' "${out[@]}" "${words[@]:i+1}"
			return
			;;
		esac
	done
	printf '%s ' "${out[@]}" limit "$(netem_limit "$delay_us" "$rate_kbit")"
}

# netem's own 1000 packets are 120 ms of queue at 100 Mbit/s. Twice the
# bandwidth-delay product lets one flow fill the link without more than a
# round trip of standing queue. netem counts the packets it is delaying, too,
# so without a rate the limit must be out of the way.
netem_limit() {
	local delay_us=$1 rate_kbit=$2 packets

	packets=$((2 * rate_kbit * delay_us / 1000 / 8 / 1500))
	[ "$rate_kbit" != 0 ] || packets=100000
	echo $((packets > 100 ? packets : 100))
}

net_check() {
	case $NET in
	*[!A-Za-z0-9.%\ ]*) usage_error "--net: odd character in '$NET'" ;;
	esac
	netem_options >/dev/null
}

# Whole numbers and decimals, as tc takes them.
in_us() {
	case $1 in
	*ms) scaled "${1%ms}" 1000 "$1" ;;
	*us) scaled "${1%us}" 1 "$1" ;;
	*s) scaled "${1%s}" 1000000 "$1" ;;
	*) scaled x 1 "$1" ;;
	esac
}

in_kbit() {
	case $1 in
	*kbit) scaled "${1%kbit}" 1 "$1" ;;
	*mbit) scaled "${1%mbit}" 1000 "$1" ;;
	*gbit) scaled "${1%gbit}" 1000000 "$1" ;;
	*) scaled x 1 "$1" ;;
	esac
}

scaled() {
	[[ $1 =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage_error "--net: '$3' is no time (25ms) or rate (100mbit)"
	awk -v n="$1" -v by="$2" 'BEGIN { printf "%.0f\n", n * by }'
}
