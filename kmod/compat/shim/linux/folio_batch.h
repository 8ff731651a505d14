/* SPDX-License-Identifier: GPL-2.0 */
/* found only where the kernel has no header of this name (before 7.x) */
#include <linux/pagevec.h>
