/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * caches.h - memory for every cpu's cache of frames: early memory, as large as the largest cache of
 * this boot. On cpu 0, before other harts start.
 */
#pragma once

/* Takes it, for caches of up to `frames` frames. After memory_collect(), when the cpus are counted. */
void caches_reserve(unsigned frames);

/* Gives it to the caches, which are off. When the zones are made; each cpu configures its own then. */
void caches_start(void);
