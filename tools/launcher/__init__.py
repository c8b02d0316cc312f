# SPDX-License-Identifier: BSD-2-Clause
"""Boots the kernel under QEMU, passes its console on, and judges the run; see tools/launch.py.

    options   the launcher's own command line
    command   QEMU's command line
    symbols   functions and source lines of addresses in the kernel
    console   QEMU's output: lines, records, and the log
    view      what is shown of it: no records, on a terminal progress, colours and folded lines
    progress  the line that says how far the run is
    summary   the last lines of a run
    keyboard  what is typed, on its way to QEMU
    process   QEMU as a process: starts it, watches it, ends it
    judge     whether a run passed, and why not
    status    exit statuses, and how the launcher speaks
    main      one run, from the command line to the exit status
"""
