/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot_report.h - what this boot found and made: its lines on the console, and the `boot` record.
 * On cpu 0, when all harts have arrived.
 */
#pragma once

void boot_report_print(void);
void boot_report_record(void);
