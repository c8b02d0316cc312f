# SPDX-License-Identifier: BSD-2-Clause
"""Proofs of functions of the allocator, and broken twins that are not proved; see main.py."""
