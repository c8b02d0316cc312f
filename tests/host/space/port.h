/*
 * port.h - the host port (tests/host/port.h) for test_space: one thread, whose cpus take turns as
 * played.h says, and the accesses at which a turn may end.
 */
#pragma once

#include "tests/host/port.h"

#include <ck_md.h>
#include <ck_pr.h>

/* Another cpu's turn may begin here, and a kick may come in. */
void played_point(void);
/* Nothing to be done before others have done something. */
void played_relax(void);
void played_ipi_send(unsigned first, uint64_t set);
_Noreturn void played_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t played_clock(void); /* of points, so that what depends on it repeats */
unsigned long played_irq_save(void);
void played_irq_restore(unsigned long flags);

/* What kernel/space.c copies pages with: others may have many turns before and after. */
void *played_copy(void *to, const void *from, size_t bytes);

/* The plain ones above stay behind, unused. */
#define port_relax	 played_relax
#define port_clock	 played_clock
#define port_ipi_send	 played_ipi_send
#define port_panic	 played_panic
#define port_irq_save	 played_irq_save
#define port_irq_restore played_irq_restore

#undef ck_pr_load_32
#undef ck_pr_store_32
#undef ck_pr_load_64
#undef ck_pr_store_64
#define ck_pr_load_32(source)	      (played_point(), CK_PR_LOAD_SAFE(source, 32))
#define ck_pr_store_32(target, value) (played_point(), CK_PR_STORE_SAFE(target, value, 32))
#define ck_pr_load_64(source)	      (played_point(), CK_PR_LOAD_SAFE(source, 64))
#define ck_pr_store_64(target, value) (played_point(), CK_PR_STORE_SAFE(target, value, 64))
#define ck_pr_faa_32(target, value)   (played_point(), (ck_pr_faa_32)(target, value))
#define ck_pr_faa_64(target, value)   (played_point(), (ck_pr_faa_64)(target, value))
#define ck_pr_fas_64(target, value)   (played_point(), (ck_pr_fas_64)(target, value))
#define ck_pr_inc_64(target)	      (played_point(), (ck_pr_inc_64)(target))
#define ck_pr_inc_32(target)	      (played_point(), (ck_pr_inc_32)(target))
#define ck_pr_dec_32(target)	      (played_point(), (ck_pr_dec_32)(target))
#define ck_pr_or_64(target, value)    (played_point(), (ck_pr_or_64)(target, value))
#define ck_pr_and_64(target, value)   (played_point(), (ck_pr_and_64)(target, value))
#define ck_pr_cas_32_value(target, wanted, value, found) \
	(played_point(), (ck_pr_cas_32_value)(target, wanted, value, found))
#define ck_pr_cas_64_value(target, wanted, value, found) \
	(played_point(), (ck_pr_cas_64_value)(target, wanted, value, found))
