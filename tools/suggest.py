# SPDX-License-Identifier: BSD-2-Clause
"""The valid name that a mistyped word probably means. In the kernel this is kernel/diag/suggest.c."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NEAR = 0.6  # difflib's own: what shares less is another word


def closest(word: str, valid: Iterable[str]) -> str | None:
    """Capitals do not count. None: no name is close to the word."""
    by_lower = {name.lower(): name for name in valid}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=NEAR)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """For the end of a message, with a space before it; empty if no name is close."""
    name = closest(word, valid)
    return f" (did you mean {name}?)" if name else ""
