# SPDX-License-Identifier: BSD-2-Clause
"""What load.py registers with gdb; a module for each part of the kernel.

kernel      variables, CPUs, places in the source
zones       zones and where a frame is free in them
caches      each CPU's cache of frames
locks       holders and waiters
frames      one frame: state, place, owner
heap        one address of the heap
stops       breakpoints on the ways into a panic
printers    values as gdb prints them
commands    the commands: they print what the other modules find
"""
