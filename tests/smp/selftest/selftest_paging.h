/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest_paging.h - tests of the kernel's page tables and of address spaces. Each returns NULL, or what
 * was wrong; NULL also with paging=off. On cpu 0, at rest.
 */
#pragma once

/* Text, data, stacks, guard pages and zones are mapped as they should be, on every cpu. */
const char *paging_test_kernel(void);

/* A handler that takes a page fault returns to the interrupted code. */
const char *paging_test_nested_fault(void);

/* A page is mapped, protected and unmapped, and the hardware agrees. */
const char *paging_test_space(void);

/* Calls with wrong arguments are refused and change nothing. */
const char *paging_test_mistakes(void);

/* A map for which there are too few frames changes nothing and keeps no frame. */
const char *paging_test_no_frames(void);

/* After a clone, stores to one space are not seen in the other. */
const char *paging_test_copies(void);

/* After a page was replaced, no cpu reads the old frame. */
const char *paging_test_flush(void);
