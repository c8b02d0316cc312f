/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - the host port (tests/host/support/port.h) for test_space: one thread, whose cpus take
 * turns as simulated.h says, and the accesses at which a turn may end.
 */
#pragma once

#include "tests/host/support/port.h"

#include <ck_md.h>
#include <ck_pr.h>

/* Another cpu's turn may begin here, and an IPI may come in. */
void sim_point(void);
/* The same before a pointer is exchanged, in machines with pointer_points. */
void sim_pointer_point(void);
/* Nothing to be done before others have done something. */
void sim_relax(void);
void sim_ipi_send(unsigned first, uint64_t set);
_Noreturn void sim_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t sim_clock(void); /* of points, so that what depends on it repeats */
unsigned long sim_irq_save(void);
void sim_irq_restore(unsigned long flags);

/* kernel/vm/space.c copies pages with this: other cpus may have many turns before and after. */
void *sim_copy(void *to, const void *from, size_t bytes);

/* The plain ones above stay behind, unused. */
#define port_relax	 sim_relax
#define port_clock	 sim_clock
#define port_ipi_send	 sim_ipi_send
#define port_panic	 sim_panic
#define port_irq_save	 sim_irq_save
#define port_irq_restore sim_irq_restore

#undef ck_pr_load_32
#undef ck_pr_store_32
#undef ck_pr_load_64
#undef ck_pr_store_64
#define ck_pr_load_32(source)	      (sim_point(), CK_PR_LOAD_SAFE(source, 32))
#define ck_pr_store_32(target, value) (sim_point(), CK_PR_STORE_SAFE(target, value, 32))
#define ck_pr_load_64(source)	      (sim_point(), CK_PR_LOAD_SAFE(source, 64))
#define ck_pr_store_64(target, value) (sim_point(), CK_PR_STORE_SAFE(target, value, 64))
#define ck_pr_faa_32(target, value)   (sim_point(), (ck_pr_faa_32)(target, value))
#define ck_pr_faa_64(target, value)   (sim_point(), (ck_pr_faa_64)(target, value))
#define ck_pr_fas_64(target, value)   (sim_point(), (ck_pr_fas_64)(target, value))
#define ck_pr_inc_64(target)	      (sim_point(), (ck_pr_inc_64)(target))
#define ck_pr_inc_32(target)	      (sim_point(), (ck_pr_inc_32)(target))
#define ck_pr_dec_32(target)	      (sim_point(), (ck_pr_dec_32)(target))
#define ck_pr_or_64(target, value)    (sim_point(), (ck_pr_or_64)(target, value))
#define ck_pr_and_64(target, value)   (sim_point(), (ck_pr_and_64)(target, value))
#define ck_pr_cas_32_value(target, wanted, value, found)                                           \
	(sim_point(), (ck_pr_cas_32_value)(target, wanted, value, found))
#define ck_pr_cas_64_value(target, wanted, value, found)                                           \
	(sim_point(), (ck_pr_cas_64_value)(target, wanted, value, found))
#define ck_pr_cas_ptr(target, wanted, value)                                                       \
	(sim_pointer_point(), (ck_pr_cas_ptr)(target, wanted, value))
