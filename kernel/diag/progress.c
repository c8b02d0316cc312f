/* SPDX-License-Identifier: BSD-2-Clause */
/* progress.c - see progress.h. Keeps no state. */
#include "kernel/diag/progress.h"

#include "kernel/diag/console.h"
#include "kernel/diag/record.h"

void progress_record(const char *program, const char *what, uint64_t done, uint64_t of)
{
	if (done && done < of && done * 100 / of == (done - 1) * 100 / of)
		return;
	record_begin("progress");
	record_string("program", program);
	record_string("what", what);
	record_number("done", done);
	record_number("of", of);
	record_end();
	console_flush();
}
