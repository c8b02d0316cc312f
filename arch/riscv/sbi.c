/* SPDX-License-Identifier: BSD-2-Clause */
/* sbi.c - see sbi.h. Chapter and function numbers are the specification's. */
#include "arch/riscv/sbi.h"

static struct sbi_result call5(unsigned long extension, unsigned long function, unsigned long arg0,
			       unsigned long arg1, unsigned long arg2, unsigned long arg3,
			       unsigned long arg4)
{
	register unsigned long a0 __asm__("a0") = arg0;
	register unsigned long a1 __asm__("a1") = arg1;
	register unsigned long a2 __asm__("a2") = arg2;
	register unsigned long a3 __asm__("a3") = arg3;
	register unsigned long a4 __asm__("a4") = arg4;
	register unsigned long a6 __asm__("a6") = function;
	register unsigned long a7 __asm__("a7") = extension;

	__asm__ volatile("ecall"
			 : "+r"(a0), "+r"(a1)
			 : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7)
			 : "memory");
	return (struct sbi_result){(long)a0, a1};
}

static struct sbi_result call(unsigned long extension, unsigned long function, unsigned long arg0,
			      unsigned long arg1, unsigned long arg2)
{
	return call5(extension, function, arg0, arg1, arg2, 0, 0);
}

bool sbi_has(enum sbi_extension extension)
{
	struct sbi_result result = call(SBI_BASE, 3, extension, 0, 0);

	return result.error == 0 && result.value != 0;
}

struct sbi_result sbi_spec_version(void)
{
	return call(SBI_BASE, 0, 0, 0, 0);
}

struct sbi_result sbi_implementation_id(void)
{
	return call(SBI_BASE, 1, 0, 0, 0);
}

struct sbi_result sbi_implementation_version(void)
{
	return call(SBI_BASE, 2, 0, 0, 0);
}

struct sbi_result sbi_hart_start(uint64_t hart_id, uint64_t start, uint64_t opaque)
{
	return call(SBI_HSM, 0, hart_id, start, opaque);
}

struct sbi_result sbi_hart_stop(void)
{
	return call(SBI_HSM, 1, 0, 0, 0);
}

struct sbi_result sbi_hart_status(uint64_t hart_id)
{
	return call(SBI_HSM, 2, hart_id, 0, 0);
}

struct sbi_result sbi_hart_suspend(uint64_t resume, uint64_t opaque)
{
	return call(SBI_HSM, 3, 0, resume, opaque); /* type 0: default, retentive */
}

struct sbi_result sbi_send_ipi(uint64_t mask, uint64_t first_hart)
{
	return call(SBI_IPI, 0, mask, first_hart, 0);
}

struct sbi_result sbi_set_timer(uint64_t when_ticks)
{
	return call(SBI_TIME, 0, when_ticks, 0, 0);
}

struct sbi_result sbi_console_write(uint64_t bytes, uint64_t address)
{
	return call(SBI_DBCN, 0, bytes, address, 0);
}

void sbi_legacy_putchar(int byte)
{
	call(1, 0, (unsigned long)byte, 0, 0);
}

struct sbi_result sbi_remote_sfence(uint64_t mask, uint64_t first_hart, uint64_t start,
				    uint64_t bytes)
{
	return call5(SBI_RFENCE, 1, mask, first_hart, start, bytes, 0);
}

/* The legacy calls answer in a0 alone. */
int sbi_legacy_getchar(void)
{
	return (int)call(2, 0, 0, 0, 0).error;
}

struct sbi_result sbi_shutdown(uint32_t reason)
{
	return call(SBI_SRST, 0, 0, reason, 0);
}
