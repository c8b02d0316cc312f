/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target is one file `fuzz_NAME.c` with LLVMFuzzerTestOneInput(). It is built twice: by clang
 * with libFuzzer, which makes up inputs (`make fuzz`), and by the host compiler with
 * replay.c, which runs those in tests/host/fuzz/corpus/NAME/ (`make test`). CHECK, CHECK_EQ and
 * EXPECT_PANIC are unit.h's; support.c has what is behind them. A target keeps nothing from
 * one input to the next: a crash must repeat from its input alone.
 *
 * An input is a string of choices. It never ends: behind its end are zeros, so each input means
 * something. An input that is cut off means the beginning of what it meant before.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The end of a failed input: libFuzzer wants a crash, the replay a result. */
_Noreturn void fuzz_failed(const char *message);

/* For code that only compares: tracing it does not help libFuzzer, and takes most of the time. */
#if defined(__clang__)
#define FUZZ_UNTRACED __attribute__((no_sanitize("coverage")))
#else
#define FUZZ_UNTRACED
#endif

struct fuzz_input {
	const uint8_t *at, *end;
};

static inline bool fuzz_is_over(const struct fuzz_input *input)
{
	return input->at == input->end;
}

static inline unsigned fuzz_byte(struct fuzz_input *input)
{
	return fuzz_is_over(input) ? 0 : *input->at++;
}

/* 0..65535 */
static inline unsigned fuzz_short(struct fuzz_input *input)
{
	unsigned low = fuzz_byte(input);

	return low | fuzz_byte(input) << 8;
}

/* In [0, bound), 0 < bound <= 65536; two bytes where one does not reach. */
static inline unsigned fuzz_below(struct fuzz_input *input, unsigned bound)
{
	return (bound > 256 ? fuzz_short(input) : fuzz_byte(input)) % bound;
}
