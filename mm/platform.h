/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * platform.h - everything mm/ and sync/ ask of the machine they run on: the port contract.
 *
 * A port supplies one header, <port.h>, found on the include path, with what follows; nothing
 * else of the surrounding kernel (or host program) is ever seen from here. Two ports live in
 * this repository: arch/riscv/port.h for the kernel, tests/host/support/port.h for pthreads.
 *
 *	void *port_area(void)
 *		This cpu's area: room for a struct frame_cache and, where mm/heap is used, for a
 *		struct kheap_front behind it; aligned to PORT_CACHE_LINE, zeroed
 *		before the cpu first calls into mm/. Cheap (a register): the hot path asks for it each time.
 *	unsigned port_cpu(void)		This cpu's dense number, 0..port_cpu_count()-1.
 *	unsigned port_cpu_count(void)	Cpus whose areas exist; fixed before mm/ is used.
 *	unsigned port_cpu_group(void)	The number of one cpu of this cpu's group, the same for all
 *					cpus of the group: those that share a cache or a node.
 *	void *port_area_of(unsigned cpu)	Another cpu's area.
 *
 *	unsigned long port_irq_save(void); void port_irq_restore(unsigned long flags)
 *		Mask interrupts on this cpu and say what was; put it back. Nests.
 *	bool port_in_trap(void)		True inside a trap handler that interrupted the kernel.
 *
 *	void port_ipi_send(unsigned first, uint64_t set)
 *		Makes cpus first + i, for each bit i of `set` (first is a multiple of 64), call
 *		frame_drain_answer() soon, as a trap handler, until it says that there is no more, once
 *		their interrupts are not masked; at least once after each call. Any context.
 *
 *	void *port_phys_pointer(uint64_t address)
 *		Where the physical byte can be read and written.
 *	uint64_t port_phys_address(const void *pointer)		The inverse.
 *
 *	uint64_t port_clock(void)	A fine per-cpu clock, in ticks; only differences taken on one
 *					cpu mean anything.
 *	void port_relax(void)		In a spin-wait: let another hart go first.
 *	_Noreturn void port_panic(const char *format, ...)
 *
 *	PORT_TOTAL_STORE_ORDER		Optional: the machine orders all but a store before a later load,
 *					so that -DCK_MD_TSO is right for it (sync/ck.h); never RISC-V.
 *	PORT_CACHE_LINE			Optional: bytes of a cache line, a power of two; 64 where the
 *					port says nothing.
 *	PORT_TRACE_IS_ON(), uint64_t port_trace_time(void),
 *	void port_trace(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c,
 *			uint64_t d)
 *					Optional: keeps a trace of the slow paths (sync/trace.h).
 *					Whether this cpu does, a load; a clock that all cpus share,
 *					never 0; and one event that is over, which began at `begun`,
 *					or takes no time where that is 0. Any context.
 *	PORT_WAIT_TURNS()		Optional, with the trace's clock: a signed integer of this
 *					cpu, 0 at first, which only sync/lock_owners.h uses: it makes a
 *					cpu that waits long for a lock call lock_wait_on_look.
 *	PORT_CALL_KEEPING(function)	Optional: a call that keeps all registers, for such a wait.
 *	PORT_STACK_POP(...), PORT_STACK_PUSH(...)	Optional restartable pop and push, see
 *					mm/percpu/cache.h; without them plain C is used, which is
 *					right where no trap handler that interrupts a call of mm/
 *					allocates, frees or answers requests.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/cache_line.h" /* <port.h>, and PORT_CACHE_LINE */

/* The contract as the compiler sees it: a port whose function has another type does not compile. */
#define PORT_HAS(function, ...)                                                                    \
	_Static_assert(__builtin_types_compatible_p(__typeof__(function), __VA_ARGS__),            \
		       "<port.h>: " #function " is to be " #__VA_ARGS__)

PORT_HAS(port_area, void *(void));
PORT_HAS(port_area_of, void *(unsigned));
PORT_HAS(port_cpu, unsigned(void));
PORT_HAS(port_cpu_count, unsigned(void));
PORT_HAS(port_cpu_group, unsigned(void));
PORT_HAS(port_irq_save, unsigned long(void));
PORT_HAS(port_irq_restore, void(unsigned long));
PORT_HAS(port_in_trap, bool(void));
PORT_HAS(port_ipi_send, void(unsigned, uint64_t));
PORT_HAS(port_phys_pointer, void *(uint64_t));
PORT_HAS(port_phys_address, uint64_t(const void *));
PORT_HAS(port_clock, uint64_t(void));
PORT_HAS(port_relax, void(void));
PORT_HAS(port_panic, void(const char *, ...));

#undef PORT_HAS
