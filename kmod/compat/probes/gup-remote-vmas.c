// SPDX-License-Identifier: GPL-2.0
/* Does get_user_pages_remote() still give out the VMAs? (before 6.5) */
#include <linux/mm.h>
long probe(struct mm_struct *mm, struct page **page, struct vm_area_struct **vma, int *locked);
long probe(struct mm_struct *mm, struct page **page, struct vm_area_struct **vma, int *locked)
{
	return get_user_pages_remote(mm, 0, 1, 0, page, vma, locked);
}
