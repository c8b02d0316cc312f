/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - the end of a test that stands still: a program that waits for ever fails, and says
 * where.
 *
 * Not a limit of time: a program in which anything moves at all goes on, however slow its host.
 */
#pragma once

#include <stdint.h>

/*
 * From now on `*progress`, which cpus change whenever they get on, is looked at now and then; when
 * it has stood still for many seconds the program ends with status 1 and says `what`, which is
 * kept.
 */
void watch_begin(const uint64_t *progress, const char *what);
void watch_end(void);
