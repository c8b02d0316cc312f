/* books.h - the end of every run, at rest: all frames are back, all structures check themselves. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Frames that are free, the heap's spare ones included. */
uint64_t books_open(void);

/* True when as many are free again; else the verdict fails with the workload's name. */
bool books_close(const char *workload, uint64_t free_before);
