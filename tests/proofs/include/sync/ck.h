/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ck.h - in place of sync/ck.h: the types of what the sources call. No function that calls one of
 * these is proved, so they have no contracts.
 */
#pragma once

#include <stdint.h>

#include <port.h>

uint32_t ck_pr_load_32(const uint32_t *word);
uint64_t ck_pr_load_64(const uint64_t *word);
void ck_pr_store_32(uint32_t *word, uint32_t value);
void ck_pr_store_64(uint64_t *word, uint64_t value);
void ck_pr_inc_64(uint64_t *word);
void ck_pr_dec_64(uint64_t *word);
void ck_pr_fence_memory(void);
void ck_pr_fence_acquire(void);
void ck_pr_fence_release(void);
uint64_t counter_read(const uint64_t *counter);
void counter_set(uint64_t *counter, uint64_t value);
void counter_add(uint64_t *counter, uint64_t amount);
