# SPDX-License-Identifier: BSD-2-Clause
"""Bounds the stack that a call of mm/ uses, from the machine code of the linked kernel.

Each function's code is followed instruction by instruction with the stack pointer's distance from
its value at the entry. So every call has the depth at which it is made, and a chain of calls has
the sum. An indirect call is resolved by the text of its source line: the functions that
initialisers of a struct name for that member, or that are passed or assigned to the pointer. What
cannot be resolved, a recursion without a stated bound, and a stack pointer that cannot be followed
are problems.

Not counted: calls that end in port_panic(), which does not return. The functions of the port (arch/
and kernel/) that a chain reaches are counted in a separate column.

With --su the sizes that the compiler wrote beside the objects (-fstack-usage) are held against what
the machine code does. With --compile mm/ and sync/ are compiled with other options, and the same is
said of that build from the compiler's own sizes and call graph: a report without a bound.

Prints KTAP, one result a check, and with -v the chains. Exit status: 0 all passed, 1 some failed.
"""
