/* books.c - see books.h. */
#include "tests/smp/books.h"

#include "kernel/panic.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"

uint64_t books_open(void)
{
	kheap_trim();
	frame_drain_settle();
	return frame_free_count();
}

bool books_close(const char *workload, uint64_t free_before)
{
	uint64_t free_after = books_open();

	frame_validate();
	kheap_validate();
	if (free_after == free_before)
		return true;
	verdict_fail("%s: %llu frames were free before, %llu after", workload,
		     (unsigned long long)free_before, (unsigned long long)free_after);
	return false;
}
