// SPDX-License-Identifier: GPL-2.0
/* Are pages still sent by kernel_sendpage()? (before 6.5; 6.1 has the newer flag, unused) */
#include <linux/net.h>
int probe(struct socket *sock, struct page *page);
int probe(struct socket *sock, struct page *page)
{
	return kernel_sendpage(sock, page, 0, PAGE_SIZE, 0);
}
