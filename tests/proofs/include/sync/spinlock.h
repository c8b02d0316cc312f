/* SPDX-License-Identifier: BSD-2-Clause */
/* spinlock.h - in place of sync/spinlock.h, for the same reason as ck.h. */
#pragma once

#include "sync/ck.h"

#include <stdbool.h>
#include <stddef.h>

enum spin_kind { SPIN_NONE };

struct spinlock {
	int held;
};

struct spin_node {
	int next;
};

void spin_init(struct spinlock *lock, const char *name, enum spin_kind kind, unsigned cpus,
	       void *memory);
void spin_lock(struct spinlock *lock, struct spin_node *node);
void spin_unlock(struct spinlock *lock, struct spin_node *node);
