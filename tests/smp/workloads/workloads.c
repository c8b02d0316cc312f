/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads.c - the table of workloads; see workloads.h. */
#include "tests/smp/workloads/workloads.h"

#include <stddef.h>

#include "tests/smp/workloads/workload_frames.h"

/* clang-format off */
#define WORKLOADS(entry)                                                                          \
	entry(repeat, "one frame, allocated and freed over and over", 1500000, NULL, NULL, false) \
	entry(bulk, "4096 frames allocated, then all freed", 524288, bulk_setup, slots_teardown, \
	      false)                                                                              \
	entry(rand, "random frames of a large working set", 131072, rand_setup, slots_teardown,   \
	      false)                                                                              \
	entry(xfree, "one half allocates, the other half frees", 65536, xfree_setup,              \
	      xfree_teardown, false)                                                              \
	entry(run, "contiguous runs among single frames", 20000, run_setup, run_teardown, false,  \
	      .needs_runs = true, .needs_aligned_runs = true)                                     \
	entry(kmalloc, "heap blocks of mixed sizes", 20000, kmalloc_setup, kmalloc_teardown,      \
	      false, .uses_heap = true)                                                           \
	entry(exhaust, "all of memory, to the last frame", 8192, exhaust_setup, exhaust_teardown, \
	      true)                                                                               \
	entry(asym, "one cpu allocates, all others free", 65536, asym_setup, asym_teardown, true) \
	entry(churn, "random frames while harts come and go", 8192, churn_setup, churn_teardown,  \
	      false)                                                                              \
	entry(larson, "heap blocks that other cpus inherit and free", 10000, larson_setup,        \
	      larson_teardown, false, .uses_heap = true)                                          \
	entry(xmalloc, "heap blocks that the neighbour frees", 10000, xmalloc_setup,              \
	      xmalloc_teardown, false, .uses_heap = true)                                         \
	entry(sizes, "heap blocks of random sizes, 1000 live", 10000, sizes_setup,                \
	      sizes_teardown, false, .uses_heap = true)                                           \
	entry(burst, "no cpu allocates, then all do at once", 32768, burst_setup,                 \
	      slots_teardown, false)                                                              \
	entry(cache_thrash, "neighbouring frames of different cpus", 8192, cache_thrash_setup,    \
	      NULL, false)                                                                        \
	entry(frag, "runs among the frames that are still held", 4096, frag_setup, frag_teardown, \
	      true,                                                                               \
	      .needs_runs = true, .needs_aligned_runs = true)                                     \
	entry(kalloctest, "the test of the xv6 lock lab", 100000, kalloctest_setup,               \
	      kalloctest_teardown, true, .prints = true)                                          \
	entry(scarce, "heap blocks, and then all frames", 8192, scarce_setup, scarce_teardown,    \
	      true, .uses_heap = true)

/* These load and store through an MMU, which a host process does not control. */
#ifdef __riscv
#define VM_WORKLOADS(entry)                                                                       \
	entry(vm_map, "address spaces of each cpu's own", 20000, vm_map_setup, vm_map_teardown,   \
	      false, .needs_runs = true, .needs_aligned_runs = true, .needs_paging = true,        \
	      .locked_relaxed = vm_map_locked_relaxed)                                            \
	entry(vm_shared, "pages that come and go under who reads them", 9600, vm_shared_setup,   \
	      vm_shared_teardown, false, .needs_paging = true,                                    \
	      .locked_relaxed = vm_shared_locked_relaxed)                                         \
	entry(vm_cow, "copies on write of a space in use", 8192, vm_cow_setup, vm_cow_teardown,  \
	      false, .needs_paging = true, .locked_relaxed = vm_cow_locked_relaxed)
#else
#define VM_WORKLOADS(entry)
#endif
#define LOCK_WORKLOADS(entry)                                                                     \
	entry(lock, "one lock, held and let go", 2000, lock_setup, NULL, false,                   \
	      .is_lock_alone = true, .locked_relaxed = lock_locked_relaxed)
/* clang-format on */

#define ENTRY(its_name, its_what, its_ops, its_setup, its_teardown, is_exact, ...)                 \
	{.name = #its_name,                                                                        \
	 .what = its_what,                                                                         \
	 .ops = its_ops,                                                                           \
	 .setup = its_setup,                                                                       \
	 .work = its_name##_work,                                                                  \
	 .teardown = its_teardown,                                                                 \
	 .exact = is_exact,                                                                        \
	 __VA_ARGS__},
#define NAME(its_name, its_what, its_ops, its_setup, its_teardown, is_exact, ...) #its_name,

const struct workload workloads[] = {WORKLOADS(ENTRY) VM_WORKLOADS(ENTRY) LOCK_WORKLOADS(ENTRY)};
const char *const workload_names[] = {WORKLOADS(NAME) VM_WORKLOADS(NAME) LOCK_WORKLOADS(NAME)};
const unsigned workload_count = sizeof(workloads) / sizeof(workloads[0]);
