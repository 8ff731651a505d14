// SPDX-License-Identifier: GPL-2.0
/* Is there a helper that drops the VMA or the mmap lock of a fault? (6.4) */
#include <linux/mm.h>
void probe(struct vm_fault *vmf);
void probe(struct vm_fault *vmf) { release_fault_lock(vmf); }
