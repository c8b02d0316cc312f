/* SPDX-License-Identifier: BSD-2-Clause */
/* heap_debug.c - see heap_debug.h. Keeps no state. */
#include "kernel/boot/heap_debug.h"

#include <stdio.h>

#include "arch/riscv/hart.h"
#include "kernel/settings.h"
#include "kernel/vm/heap_guard.h"
#include "mm/heap/debug.h"

static const struct kheap_debug_port kernel_port = {
	.clock = hart_time,
	.map = heap_guard_map,
	.unmap = heap_guard_unmap,
	.flush = heap_guard_flush,
};

bool heap_debug_is_wanted(void)
{
	return settings.arguments.heapdebug != 0;
}

void heap_debug_start(void *memory, uint64_t first, uint64_t frames)
{
	const struct bootargs *arguments = &settings.arguments;
	struct kheap_debug_options options = {
		.words = (unsigned)arguments->heapdebug,
		.first = first,
		.frames = frames,
		.hertz = settings.timebase,
		.guard_every = arguments->guard_every,
		.seed = arguments->seed,
		.port = &kernel_port,
	};

	kheap_debug_start(&options, memory);
}

void heap_debug_print(void)
{
	static const char *const names[] = {"redzone", "poison", "quarantine",
					    "owners",  "leaks",	 "guard"};
	unsigned words = kheap_debug_words();

	if (!words)
		return;
	printf("heapdebug:");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (words >> i & 1)
			printf(" %s", names[i]);
	if (words & KHEAP_DEBUG_GUARD) {
		if (heap_guard_missing())
			printf("; no block has guard pages: %s", heap_guard_missing());
		else
			printf("; one block of %llu has guard pages",
			       (unsigned long long)settings.arguments.guard_every);
	}
	printf("\n");
}
