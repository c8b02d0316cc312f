/* SPDX-License-Identifier: BSD-2-Clause */
/* selftest_paging.h - tests of the kernel's page tables and of address spaces: NULL, or what was
 * wrong. */
#pragma once

const char *paging_test_kernel(void);
const char *paging_test_nested_fault(void);
const char *paging_test_space(void);
const char *paging_test_mistakes(void);
const char *paging_test_no_frames(void);
const char *paging_test_copies(void);
const char *paging_test_flush(void);
