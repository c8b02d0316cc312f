/* SPDX-License-Identifier: BSD-2-Clause */
/* dtb_builder.c - see dtb_builder.h. */
#include "tests/host/support/dtb_builder.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	BEGIN_NODE = 1,
	END_NODE = 2,
	PROPERTY = 3,
	END = 9,
};

#define HEADER_WORDS 10

static void append(struct dtb_bytes *to, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	to->bytes = realloc(to->bytes, to->size + size);
	if (!to->bytes)
		abort();
	memcpy(to->bytes + to->size, bytes, size);
	to->size += size;
}

static void append_word(struct dtb_bytes *to, uint32_t word)
{
	uint8_t bytes[] = {word >> 24, word >> 16, word >> 8, word};

	append(to, bytes, sizeof(bytes));
}

static void append_padded(struct dtb_bytes *to, const void *bytes, size_t size)
{
	append(to, bytes, size);
	append(to, "\0\0\0", -size % sizeof(uint32_t));
}

void dtb_free(struct dtb_bytes *blob)
{
	free(blob->bytes);
	*blob = (struct dtb_bytes){0};
}

void dtb_reserve(struct dtb *dtb, uint64_t start, uint64_t size)
{
	append_word(&dtb->reservations, (uint32_t)(start >> 32));
	append_word(&dtb->reservations, (uint32_t)start);
	append_word(&dtb->reservations, (uint32_t)(size >> 32));
	append_word(&dtb->reservations, (uint32_t)size);
}

void dtb_token(struct dtb *dtb, uint32_t word)
{
	append_word(&dtb->structure, word);
}

void dtb_begin(struct dtb *dtb, const char *name)
{
	dtb_token(dtb, BEGIN_NODE);
	append_padded(&dtb->structure, name, strlen(name) + 1);
}

void dtb_end(struct dtb *dtb)
{
	dtb_token(dtb, END_NODE);
}

/* Offset of `name` in the strings block, where it is put if it is not there yet. */
static uint32_t string_offset(struct dtb *dtb, const char *name)
{
	size_t offset = 0;

	while (offset < dtb->strings.size) {
		const char *string = (const char *)dtb->strings.bytes + offset;

		if (strcmp(string, name) == 0)
			return (uint32_t)offset;
		offset += strlen(string) + 1;
	}
	append(&dtb->strings, name, strlen(name) + 1);
	return (uint32_t)offset;
}

void dtb_property(struct dtb *dtb, const char *name, const void *value, size_t size)
{
	dtb_token(dtb, PROPERTY);
	dtb_token(dtb, (uint32_t)size);
	dtb_token(dtb, string_offset(dtb, name));
	append_padded(&dtb->structure, value, size);
}

void dtb_words(struct dtb *dtb, const char *name, const uint32_t *words, size_t count)
{
	struct dtb_bytes value = {0};

	for (size_t i = 0; i < count; i++)
		append_word(&value, words[i]);
	dtb_property(dtb, name, value.bytes, value.size);
	dtb_free(&value);
}

void dtb_u32(struct dtb *dtb, const char *name, uint32_t value)
{
	dtb_words(dtb, name, &value, 1);
}

void dtb_u64(struct dtb *dtb, const char *name, uint64_t value)
{
	dtb_cells(dtb, name, (uint32_t)(value >> 32), (uint32_t)value);
}

void dtb_string(struct dtb *dtb, const char *name, const char *value)
{
	dtb_property(dtb, name, value, strlen(value) + 1);
}

struct dtb_bytes dtb_finish_raw(struct dtb *dtb)
{
	struct dtb_bytes blob = {0};
	size_t reservations = HEADER_WORDS * sizeof(uint32_t), structure, strings;

	dtb_reserve(dtb, 0, 0);
	structure = reservations + dtb->reservations.size;
	strings = structure + dtb->structure.size;

	append_word(&blob, 0xd00dfeed);
	append_word(&blob, (uint32_t)(strings + dtb->strings.size));
	append_word(&blob, (uint32_t)structure);
	append_word(&blob, (uint32_t)strings);
	append_word(&blob, (uint32_t)reservations);
	append_word(&blob, 17);
	append_word(&blob, 16);
	append_word(&blob, 0);
	append_word(&blob, (uint32_t)dtb->strings.size);
	append_word(&blob, (uint32_t)dtb->structure.size);
	append(&blob, dtb->reservations.bytes, dtb->reservations.size);
	append(&blob, dtb->structure.bytes, dtb->structure.size);
	append(&blob, dtb->strings.bytes, dtb->strings.size);

	dtb_free(&dtb->reservations);
	dtb_free(&dtb->structure);
	dtb_free(&dtb->strings);
	return blob;
}

struct dtb_bytes dtb_finish(struct dtb *dtb)
{
	dtb_token(dtb, END);
	return dtb_finish_raw(dtb);
}

struct dtb_bytes dtb_copy(struct dtb_bytes blob, size_t size)
{
	struct dtb_bytes copy = {malloc(size), size};

	if (!copy.bytes)
		abort();
	memcpy(copy.bytes, blob.bytes, size);
	return copy;
}

uint32_t dtb_peek(struct dtb_bytes blob, size_t offset)
{
	const uint8_t *at = blob.bytes + offset;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void dtb_poke(struct dtb_bytes blob, size_t offset, uint32_t word)
{
	uint8_t bytes[] = {word >> 24, word >> 16, word >> 8, word};

	memcpy(blob.bytes + offset, bytes, sizeof(bytes));
}

struct dtb_bytes dtb_load(const char *path)
{
	struct dtb_bytes blob = {0};
	uint8_t buffer[4096];
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!file) {
		perror(path);
		abort();
	}
	while ((size = fread(buffer, 1, sizeof(buffer), file)) > 0)
		append(&blob, buffer, size);
	fclose(file);
	return blob;
}
