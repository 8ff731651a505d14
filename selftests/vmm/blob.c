// SPDX-License-Identifier: GPL-2.0
/*
 * blob.c - the guest's program, as bytes; VMM_BLOB is its path
 */
#include "vmm.h"

asm(".section .rodata\n"
    "	.globl vmm_blob, vmm_blob_end\n"
    "vmm_blob:\n"
    "	.incbin \"" VMM_BLOB "\"\n"
    "vmm_blob_end:\n"
    "	.previous");
