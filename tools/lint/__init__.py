# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the sources and the linked kernel that no compiler and no test run makes.

A missing fence in particular shows in no run on an x86 host: the emulator's loads and stores are
ordered. A check that finds nothing to look at has failed. Each module is one kind of check, or what
several of them read with: sources, elf, instructions, kernel, addresses, walks. `main` lists them.
"""
