# SPDX-License-Identifier: BSD-2-Clause
"""Each CPU's cache of frames, and what it moves between the cache and a zone."""

from __future__ import annotations

import gdb

from . import kernel


def cache_of(cpu: int) -> gdb.Value:
    return kernel.structure("frame_cache", kernel.area_of(cpu))


def stack_of(cache: gdb.Value) -> list[int]:
    """Free frames, the coldest first."""
    bottom = int(cache["bottom"])
    return kernel.words(bottom, (int(cache["top"]) - bottom) // 8)


def remote_of(cache: gdb.Value) -> dict[int, list[int]]:
    """Frames that wait to be given back, by zone."""
    found = {}
    if int(cache["remote_frames"]):
        for zone in range(kernel.number("zones.count")):
            remote = cache["remote"][zone]
            if count := int(remote["count"]):
                found[zone] = kernel.words(int(remote["frame"].address), count)
    return found


def is_moving(cache: gdb.Value, frame: int) -> bool:
    """In the batch that the CPU moves between its cache and a zone at this moment."""
    if not int(cache["frames_moving"]):
        return False
    batch = cache["work"]["words"]
    first, last = batch.type.range()
    for index in range(first, last + 1):
        distance = frame - int(batch[index]["first"])
        if 0 <= distance < 64 and int(batch[index]["bits"]) >> distance & 1:
            return True
    return False


def place_of(frame: int) -> str | None:
    """Where a free frame is outside of the zones; None: with no CPU."""
    for cpu in kernel.cpus():
        cache = cache_of(cpu)
        if is_moving(cache, frame):
            return f"in transit: cpu {cpu} moves it between its cache and a zone"
        if frame in stack_of(cache):
            return f"in the cache of cpu {cpu}"
        for zone, frames in remote_of(cache).items():
            if frame in frames:
                return f"with cpu {cpu}, to be given back to zone {zone}"
    return None
