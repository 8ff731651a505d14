# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash source=selftests/bench/peers.sh
# What redis.bench does on either of its hosts.

. /lab/files/bench/peers.sh
GUEST_TEST=/lab/files/bench/redis.sh

# instead of what other guests have: Redis, its benchmark and their libraries
redis_initrd() {
	redis_tree=$GUEST_RUN/redis
	mkdir -p "$redis_tree/lib" "$redis_tree/lib64"
	cp /lab/bin/redisload "$redis_tree/init"
	cp -L /lib64/ld-linux-x86-64.so.2 "$redis_tree/lib64/"
	for redis_program in redis-server redis-benchmark; do
		cp -L "$(command -v $redis_program)" "$redis_tree/" || return 1
		ldd "$redis_tree/$redis_program"
	done | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u | xargs cp -L -t "$redis_tree/lib" &&
		(cd "$redis_tree" && find . | cpio --quiet -o -H newc >"$GUEST_RUN/initrd") &&
		rm -rf "$redis_tree"
}
