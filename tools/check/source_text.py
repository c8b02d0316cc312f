# SPDX-License-Identifier: BSD-2-Clause
"""Places in a console's output by the text of their source lines, so that no test has line numbers.

The launcher prints `[<0x80224f10>] read_null+0xa (tests/smp/crash.c:42)`. Tests are written against
`[<>] read_null '(void)*(volatile uint64_t *)hidden(8);'`: the line that was named is read from the
source, and must be the one that the test means.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ADDRESS = re.compile(r"\[<0x[0-9a-f]+>\]")
PLACE = re.compile(r"([\w.]+)(?:\+0x[0-9a-f]+)? \(([\w./-]+\.[chS]):(\d+)\)")


@lru_cache(maxsize=None)
def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def source_line(file: str, number: int, root: Path = ROOT) -> str:
    lines = lines_of(root / file)
    return lines[number - 1].strip() if 0 < number <= len(lines) else "no such line"


def with_source_text(output: str, root: Path = ROOT) -> str:
    """The output with addresses left out, and with the text of each source line for its number.

    Lines of inlined functions are indented by one blank.
    """
    text = PLACE.sub(lambda match: f"{match[1]} '{source_line(match[2], int(match[3]), root)}'", output)
    return re.sub(r"\n {8,}", "\n ", ADDRESS.sub("[<>]", text))
