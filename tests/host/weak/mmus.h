/* SPDX-License-Identifier: BSD-2-Clause */
/* mmus.h - the harts' MMUs (mmus.c), for harts.c. */
#pragma once

#include <stdint.h>

/* At rest: nothing is cached, and all harts have this satp. */
void mmus_start(uint64_t satp);

/* The hart's cached translations are gone. */
void mmus_drop(unsigned cpu);
