// SPDX-License-Identifier: GPL-2.0
/*
 * planted.c - bugs, to see whether the lab finds them: write the name of one to
 * /sys/module/planted/parameters/bug
 *
 * Never loaded but by planted_test.sh.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_MUTEX(planted_one);
static DEFINE_MUTEX(planted_two);
static DEFINE_SPINLOCK(planted_lock);
static unsigned long planted_value;

/* one byte behind an object */
static noinline void planted_bounds(void)
{
	char *p = kmalloc(61, GFP_KERNEL);
	size_t at = 61;

	if (!p)
		return;
	OPTIMIZER_HIDE_VAR(at);
	p[at] = 1;
	kfree(p);
}

/* two locks, once in this order and once in that: no deadlock today */
static noinline void planted_order(void)
{
	mutex_lock(&planted_one);
	mutex_lock(&planted_two);
	mutex_unlock(&planted_two);
	mutex_unlock(&planted_one);

	mutex_lock(&planted_two);
	mutex_lock(&planted_one);
	mutex_unlock(&planted_one);
	mutex_unlock(&planted_two);
}

static noinline void planted_sleep(void)
{
	spin_lock(&planted_lock);
	kfree(kmalloc(16, GFP_KERNEL));
	spin_unlock(&planted_lock);
}

/* objects that nobody knows of any more; more than one, as registers and stacks remember */
static noinline void planted_leak(void)
{
	int i;

	for (i = 0; i < 16; i++) {
		void *p = kmalloc(200, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(p);
	}
}

static noinline int planted_racer(void *arg)
{
	while (!kthread_should_stop()) {
		planted_value++;
		cond_resched();
	}
	return 0;
}

static void planted_race(void)
{
	struct task_struct *t[2];
	int i;

	for (i = 0; i < 2; i++)
		t[i] = kthread_run(planted_racer, NULL, "planted");
	msleep(5000);
	for (i = 0; i < 2; i++)
		if (!IS_ERR(t[i]))
			kthread_stop(t[i]);
}

static int planted_set(const char *name, const struct kernel_param *kp)
{
	if (sysfs_streq(name, "bounds"))
		planted_bounds();
	else if (sysfs_streq(name, "order"))
		planted_order();
	else if (sysfs_streq(name, "sleep"))
		planted_sleep();
	else if (sysfs_streq(name, "leak"))
		planted_leak();
	else if (sysfs_streq(name, "race"))
		planted_race();
	else if (!sysfs_streq(name, "none"))
		return -EINVAL;
	return 0;
}

static const struct kernel_param_ops planted_ops = { .set = planted_set };

module_param_cb(bug, &planted_ops, NULL, 0200);
MODULE_PARM_DESC(bug, "which bug to have now: bounds, order, sleep, leak, race or none");

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Bugs for the lab to find");
