# SPDX-License-Identifier: BSD-2-Clause
"""Mutation tests: one bug at a time is put into a copy of the tree, and a test must catch it.

    source      C and assembly as words; functions, structures, macros and labels of a tree
    statements  where statements begin and end
    edits       a change that names a function and words: its format, finding it, applying it
    cut         edits out of the difference between two versions of the sources
    rules       the rules of generated mutants: those of plain C
    rules_smp   those of code that several CPUs run
    rules_asm   those of assembly
    generate    mutants by rule, and tests/mutants/generated.toml
    catalog     all mutants: reading, listing, checking
    choose      which of them run
    author      a new mutant out of the working tree
    trees       copies of the tree, and keeping them equal to the clean one
    tests       the tests: building and running one in a tree
    signs       how a bug showed
    run         the workers
    sample      a sample of all that the rules make, and its share caught
    sample_run  running a sample
    objects     whether a mutant changes object code
    report      tables and result files
    cli         the command line
"""
