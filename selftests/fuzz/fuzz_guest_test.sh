#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What an agent reads in the memory of a guest, and what QEMU says of its registers, are
# anything: fuzz_guest for a while, see guest.c for what must hold.
exec "$(dirname "$(readlink -f "$0")")/fuzz_wire_test.sh" guest
