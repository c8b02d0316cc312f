/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dtb_builder.h - writes flattened device trees for tests: good ones by name, broken ones word by
 * word. It checks nothing, so that anything can be written.
 *
 * The blob is laid out as header, reservation block, structure block, strings block, without
 * gaps, in an allocation of exactly its size: AddressSanitizer sees the first byte read outside.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dtb_bytes {
	uint8_t *bytes;
	size_t size;
};

struct dtb {
	struct dtb_bytes reservations;
	struct dtb_bytes structure;
	struct dtb_bytes strings;
};

/* A builder starts zeroed. */
void dtb_reserve(struct dtb *dtb, uint64_t start, uint64_t size);
void dtb_begin(struct dtb *dtb, const char *name);
void dtb_end(struct dtb *dtb);
void dtb_property(struct dtb *dtb, const char *name, const void *value, size_t size);
void dtb_u32(struct dtb *dtb, const char *name, uint32_t value);
void dtb_u64(struct dtb *dtb, const char *name, uint64_t value);
void dtb_string(struct dtb *dtb, const char *name, const char *value);
void dtb_words(struct dtb *dtb, const char *name, const uint32_t *words, size_t count);

#define dtb_cells(dtb, name, ...)                                                                  \
	dtb_words(dtb, name, (const uint32_t[]){__VA_ARGS__},                                      \
		  sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* One word of the structure block, whatever it may mean there. */
void dtb_token(struct dtb *dtb, uint32_t word);

/* Joins the blocks to a version 17 blob, ends what must end, and empties the builder. */
struct dtb_bytes dtb_finish(struct dtb *dtb);

/* The same without the structure block's end token. */
struct dtb_bytes dtb_finish_raw(struct dtb *dtb);

/* The blob's first `size` bytes, alone in an allocation of that size. */
struct dtb_bytes dtb_copy(struct dtb_bytes blob, size_t size);
uint32_t dtb_peek(struct dtb_bytes blob, size_t offset);
void dtb_poke(struct dtb_bytes blob, size_t offset, uint32_t word);

/* Overwrites one to four words with what chance (unit_random) makes of them. */
void dtb_damage(struct dtb_bytes blob);

/* A file's bytes; aborts when it cannot be read. */
struct dtb_bytes dtb_load(const char *path);
void dtb_free(struct dtb_bytes *blob);
