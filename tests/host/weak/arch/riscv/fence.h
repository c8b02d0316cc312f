/* SPDX-License-Identifier: BSD-2-Clause */
/* fence.h - arch/riscv/fence.h for the weak-memory explorer. */
#pragma once

#include <stdint.h>

#include "tests/host/weak/weak.h"

#define arch_fence_memory_to_device()                                                              \
	weak_fence(WEAK_SITE("arch_fence_memory_to_device", WEAK_RW, WEAK_O | WEAK_W))
#define arch_fence_device_to_memory()                                                              \
	weak_fence(WEAK_SITE("arch_fence_device_to_memory", WEAK_I | WEAK_O | WEAK_R, WEAK_RW))

void harts_fence_translations(uint64_t page, struct weak_site *site);

#define HARTS_ALL_PAGES UINT64_MAX
#define arch_fence_translations()                                                                  \
	harts_fence_translations(HARTS_ALL_PAGES, WEAK_SITE("sfence.vma", WEAK_W, WEAK_WALK))
#define arch_fence_translations_of(page)                                                           \
	harts_fence_translations(page, WEAK_SITE("sfence.vma page", WEAK_W, WEAK_WALK))
