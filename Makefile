# SPDX-License-Identifier: GPL-2.0
#
# telepage: build, install, test
#
#   make            the module for this kernel (or KDIR=) and the tool
#   make module     the module only;  make tool  the tool only
#   make install    both, the usual way (DESTDIR=, PREFIX=)
#   make install-dkms   the module's source, for dkms to build for each kernel (DESTDIR=)
#   make demo       teleport a running guest between two emulated hosts
#   make check      the tests (TIER=quick: the short ones, TIER=all: the long ones
#                   as well, and on 7.2, too; KERNELS="6.1 7.2": on these only)
#   make bench      the benchmark report
#   make lint       checkpatch, sparse, W=1, clang-tidy, cppcheck, shellcheck

KVER  ?= $(shell uname -r)
KDIR  ?= /lib/modules/$(KVER)/build
BUILD ?= $(CURDIR)/build
PREFIX ?= /usr
LAB   := selftests/lab/lab

TIER ?= full
KERNELS ?=
# kernels that the lab boots and the tests cover; it knows more, for KERNELS=
LAB_KERNELS ?= $(or $(filter-out none,$(KERNELS)),6.1 6.12 $(if $(filter all,$(TIER)),7.2))

.PHONY: all module tool install install-module install-dkms demo check bench lint clean lab-modules \
	selftests deps check-deps

all: module tool

include userspace/Makefile.inc
-include selftests/vmm/Makefile.inc
-include selftests/kernel/Makefile.inc
-include selftests/guest/Makefile.inc
-include selftests/bench/Makefile.inc
-include selftests/fuzz/Makefile.inc

# Out-of-tree builds write beside the sources, so each kernel gets a copy of its
# own; KMOD_TAG names it.
KMOD_TAG ?= $(notdir $(patsubst %/,%,$(dir $(abspath $(KDIR)))))
KMOD_OUT  = $(BUILD)/kmod-$(KMOD_TAG)
KBUILD_ARGS ?=

module:
	@test -e "$(KDIR)/Makefile" || { \
	  echo "no kernel headers in $(KDIR): install linux-headers-$(KVER) or give KDIR=" >&2; exit 1; }
	@mkdir -p $(KMOD_OUT)
	@cp -pru Kbuild kmod include $(KMOD_OUT)/
	+$(MAKE) -C $(KDIR) M=$(KMOD_OUT) $(KBUILD_ARGS) modules

# Kernels of distributions want modules signed, but their headers come without the key.
KMOD_KEY = $(shell sed -n 's/^CONFIG_MODULE_SIG_KEY="*\([^"]*\)"*$$/\1/p' \
	     "$(KDIR)/include/config/auto.conf" 2>/dev/null)
KMOD_HAS_KEY = $(filter pkcs11:%,$(KMOD_KEY))$(wildcard $(filter /%,$(KMOD_KEY)) $(KDIR)/$(KMOD_KEY))

install-module: module
	+$(MAKE) -C $(KDIR) M=$(KMOD_OUT) $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) \
	  $(if $(KMOD_HAS_KEY),,CONFIG_MODULE_SIG_ALL=) modules_install

install: install-module install-tool

DKMS_VERSION = $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
DKMS_DIR = $(DESTDIR)/usr/src/telepage-$(DKMS_VERSION)

install-dkms:
	rm -rf "$(DKMS_DIR)"
	mkdir -p "$(DKMS_DIR)"
	cp -pr dkms.conf Kbuild LICENSE kmod include "$(DKMS_DIR)/"

# one module per kernel of the lab: build/kmod-6.1/telepage.ko, …
lab-modules: $(addprefix lab-module-,$(LAB_KERNELS))
lab-module-%: deps
	@kdir=$$($(LAB) kdir $*) && $(MAKE) -s module KDIR="$$kdir" KMOD_TAG=$*

# everything that runs in the lab or on this machine for a test
selftests: deps

demo: deps
	@selftests/demo/demo

check: RUN = selftests/run --tier $(TIER) $(addprefix --kernel ,$(KERNELS))
check: check-deps
	@$(MAKE) -s tool selftests fuzz $$($(RUN) --modules | sed 's/^/lab-module-/')
	@$(RUN)

bench: deps
	@$(MAKE) -s tool selftests lab-modules
	@selftests/bench/run

lint:
	@selftests/lint

# what building and the lab need from the distribution, installed when missing
deps:
	@selftests/lab/deps pkg-config libnl-genl-3-dev libjansson-dev libgnutls28-dev libzstd-dev

# what the tests on this machine need besides: the fuzzer, the agents' VMs and lines
check-deps: deps
	@selftests/lab/deps clang libclang-rt-dev iproute2 qemu-system-x86 python3

clean:
	rm -rf $(BUILD)
