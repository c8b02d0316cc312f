/* SPDX-License-Identifier: BSD-2-Clause */
/* heap_report.h - what the heap's size classes hold, and what is lost in them. */
#pragma once

/* The classes that have slabs at this moment. Any cpu; takes the heap's lock for each class. */
void heap_report_now(void);

/* The classes that had slabs since the heap was made, and the most that each held. At rest. */
void heap_report_most(void);

/* A record heap_class for each of these. */
void heap_report_record(void);
