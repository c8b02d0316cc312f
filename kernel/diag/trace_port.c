/* SPDX-License-Identifier: BSD-2-Clause */
/* trace_port.c - port_trace() of mm/platform.h: an event goes to this cpu's ring, if it has one. */
#include <port.h>

#include "kernel/diag/trace_ring.h"

void port_trace(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct trace_ring *ring = arch_cpu_self()->trace;

	if (ring)
		trace_ring_add(ring, (enum trace_event)event, begun, a, b, c, d);
}
