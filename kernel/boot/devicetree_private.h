/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree_private.h - what the three files of the device tree reader share: devicetree.c
 * (tokens, the proof that a blob is well-formed), devicetree_nodes.c (nodes and properties) and
 * devicetree_values.c (values of properties).
 *
 * Every function here is legal on any blob that devicetree_open() accepted, and during the proof.
 */
#pragma once

#include "kernel/boot/devicetree.h"

#define DEVICETREE_WORD_BYTES	     4
#define DEVICETREE_RESERVATION_BYTES 16

/* The specification's token numbers. */
enum devicetree_token_kind {
	DEVICETREE_BEGIN_NODE = 1,
	DEVICETREE_END_NODE = 2,
	DEVICETREE_PROPERTY = 3,
	DEVICETREE_NOP = 4,
	DEVICETREE_END = 9,
};

struct devicetree_token {
	uint32_t kind;
	uint32_t offset;  /* of the token itself */
	uint32_t next;	  /* of the token that follows */
	const char *name; /* of a node or a property */
	uint32_t value;	  /* offset of a property's value */
	uint32_t length;  /* of that value, in bytes */
};

/* Big-endian numbers at any alignment. */
static inline uint32_t devicetree_word_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static inline uint64_t devicetree_two_words_at(const uint8_t *bytes)
{
	return (uint64_t)devicetree_word_at(bytes) << 32 |
	       devicetree_word_at(bytes + DEVICETREE_WORD_BYTES);
}

/* True where start + size does not fit 64 bits. */
static inline bool devicetree_range_wraps(uint64_t start, uint64_t size)
{
	return size > UINT64_MAX - start;
}

/*
 * Reads the first token at or after `offset` that is not a NOP. Returns NULL, or what is wrong with
 * the token. O(NOPs skipped + length of the name).
 */
const char *devicetree_token_read(const struct devicetree *tree, uint32_t offset,
				  struct devicetree_token *token);

/* Reads the token after `token` into it; false at the end of the block. */
bool devicetree_token_next(const struct devicetree *tree, struct devicetree_token *token);

/* Reads the token that begins `node`; false where the handle is DEVICETREE_NONE or forged. */
bool devicetree_node_token(const struct devicetree *tree, struct devicetree_node node,
			   struct devicetree_token *token);
