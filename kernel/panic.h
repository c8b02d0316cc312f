/*
 * panic.h - the end of a run that cannot go on, and of one that can.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Where the machine's finisher device is; 0: it has none, and no status can be carried out. */
void verdict_set_finisher(uint64_t address);

/* One more thing that went wrong; the verdict will name the first few, and say fail. */
void verdict_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool verdict_is_pass(void);

/* One more check passed or failed, for the verdict's count. */
void verdict_count_test(bool passed);

/* The run has a schedule that its seed decides: the verdict will carry both, asked for at its end. */
void verdict_set_schedule(uint64_t seed, uint64_t (*digest)(void));

/* Prints the verdict, human and record, and ends the machine with its status. */
_Noreturn void verdict_end(void);

/*
 * Calls mistake(a, b), which is expected to panic on this cpu; true when it did, and its text is
 * in cpu_self()->panic_message. It holds no lock where it panics.
 */
bool panics(void (*mistake)(uint64_t a, uint64_t b), uint64_t a, uint64_t b);
