/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workloads.h - the workloads: what each cpu allocates, in which order, and which cpu frees it.
 * workloads.c has the table; docs/lab.md says what each workload is for.
 *
 * `all` leaves out the last WORKLOADS_BESIDES of the table, which are not about the allocator.
 *
 * Every frame has its owner's stamp from its allocation to its free (stamp.h). Every block of the
 * heap is filled with a pattern, or stamped at both ends; either is checked before the free.
 *
 *	workloads_single.c	frames that stay with the cpu that took them
 *	workloads_burst.c	all cpus in step: pauses, then all allocate at once
 *	workloads_handed.c	frames that another cpu gives back
 *	workloads_run.c		contiguous frames
 *	workloads_all.c		all of memory
 *	workloads_heap.c	blocks of the heap, every byte checked
 *	workloads_sizes.c	blocks that stay with the cpu that took them
 *	workloads_larson.c	blocks that other cpus inherit
 *	workloads_xmalloc.c	blocks that another cpu frees
 *	workloads_kalloctest.c	what the xv6 lock lab's test prints
 *	workloads_lock.c	no frames: one lock
 *	workloads_vm_*.c	address spaces; only in the kernel, which has an MMU
 */
#pragma once

#include "tests/smp/workloads/workload.h"

/* The functions of struct workload; a workload without a setup or teardown has none here. */
void repeat_work(struct workload_run *run, unsigned number);

bool bulk_setup(struct workload_run *run);
void bulk_work(struct workload_run *run, unsigned number);

bool rand_setup(struct workload_run *run);
void rand_work(struct workload_run *run, unsigned number);

bool xfree_setup(struct workload_run *run);
void xfree_work(struct workload_run *run, unsigned number);
void xfree_teardown(struct workload_run *run);

bool run_setup(struct workload_run *run);
void run_work(struct workload_run *run, unsigned number);
void run_teardown(struct workload_run *run);

bool kmalloc_setup(struct workload_run *run);
void kmalloc_work(struct workload_run *run, unsigned number);
void kmalloc_teardown(struct workload_run *run);

bool exhaust_setup(struct workload_run *run);
void exhaust_work(struct workload_run *run, unsigned number);
void exhaust_teardown(struct workload_run *run);

bool scarce_setup(struct workload_run *run);
void scarce_work(struct workload_run *run, unsigned number);
void scarce_teardown(struct workload_run *run);

bool asym_setup(struct workload_run *run);
void asym_work(struct workload_run *run, unsigned number);
void asym_teardown(struct workload_run *run);

bool churn_setup(struct workload_run *run);
void churn_work(struct workload_run *run, unsigned number);
void churn_teardown(struct workload_run *run);

bool larson_setup(struct workload_run *run);
void larson_work(struct workload_run *run, unsigned number);
void larson_teardown(struct workload_run *run);

bool xmalloc_setup(struct workload_run *run);
void xmalloc_work(struct workload_run *run, unsigned number);
void xmalloc_teardown(struct workload_run *run);

bool sizes_setup(struct workload_run *run);
void sizes_work(struct workload_run *run, unsigned number);
void sizes_teardown(struct workload_run *run);

bool burst_setup(struct workload_run *run);
void burst_work(struct workload_run *run, unsigned number);

bool cache_thrash_setup(struct workload_run *run);
void cache_thrash_work(struct workload_run *run, unsigned number);

bool frag_setup(struct workload_run *run);
void frag_work(struct workload_run *run, unsigned number);
void frag_teardown(struct workload_run *run);

bool kalloctest_setup(struct workload_run *run);
void kalloctest_work(struct workload_run *run, unsigned number);
void kalloctest_teardown(struct workload_run *run);

bool lock_setup(struct workload_run *run);
void lock_work(struct workload_run *run, unsigned number);
bool lock_locked_relaxed(const struct workload_run *run);

bool vm_map_setup(struct workload_run *run);
void vm_map_work(struct workload_run *run, unsigned number);
void vm_map_teardown(struct workload_run *run);
bool vm_map_locked_relaxed(const struct workload_run *run);

bool vm_shared_setup(struct workload_run *run);
void vm_shared_work(struct workload_run *run, unsigned number);
void vm_shared_teardown(struct workload_run *run);
bool vm_shared_locked_relaxed(const struct workload_run *run);

bool vm_cow_setup(struct workload_run *run);
void vm_cow_work(struct workload_run *run, unsigned number);
void vm_cow_teardown(struct workload_run *run);
bool vm_cow_locked_relaxed(const struct workload_run *run);
