# SPDX-License-Identifier: BSD-2-Clause
"""What an interrupt adds to the stack of what it interrupts."""

from __future__ import annotations

from dataclasses import dataclass

from lint.report import Nothing

from .graph import Chain, Depths
from .machine import Machine
from .pointers import INTERRUPT_HOOKS

TRAP_ENTRY, TRAP_HANDLE = "trap_entry", "trap_handle"


@dataclass(frozen=True)
class Handler:
    hook: str
    file: str
    chain: Chain


@dataclass
class Traps:
    """What an interrupt adds to the stack of what it interrupts."""

    frame: int  # the registers that the entry saves
    handle: int  # trap_handle() when it calls the handler
    handlers: list[Handler]

    def total(self, handler: Handler) -> int:
        return self.frame + self.handle + handler.chain.bytes

    def line(self, handler: Handler) -> str:
        once = self.total(handler)
        return (
            f"a trap adds {once} bytes, nested one level {2 * once}: frame {self.frame}, "
            f"{TRAP_HANDLE} {self.handle}, {handler.hook} {handler.chain.bytes}: {handler.chain}"
        )

    def records(self) -> list[dict[str, object]]:
        return [
            {
                "record": "stack_trap",
                "hook": handler.hook,
                "file": handler.file,
                "handler": handler.chain.steps[0][0],
                "frame_bytes": self.frame,
                "handle_bytes": self.handle,
                "handler_bytes": handler.chain.bytes,
                "bytes": self.total(handler),
                "bytes_nested": 2 * self.total(handler),
                "chain": [[name, size] for name, size in handler.chain.steps],
            }
            for handler in self.handlers
        ]


def deepest_call(machine: Machine, caller: str, callees: set[str]) -> int:
    """How deep the stack is where `caller` calls one of these."""
    nodes = filter(None, map(machine.node, machine.keys(caller)))
    depths = [call.depth for node in nodes for call in node.calls if call.callee in callees]
    if not depths:
        raise Nothing(f"{caller} does not call what it is there to call")
    return max(depths)


def traps_of(machine: Machine, depths: Depths, is_tests: bool) -> Traps:
    """With the handlers of the kernel, or those that tests/ put there."""
    entries: set[str] = set()
    handlers = []
    for hook in INTERRUPT_HOOKS:
        for target in machine.pointers.assigned_to(hook):
            for key in machine.keys(target.name):
                node = machine.node(key)
                if not node or node.file != target.file:
                    continue
                entries.add(key)
                if target.file.startswith("tests/") == is_tests:
                    handlers.append(Handler(hook, target.file, depths.deepest(key)))
    return Traps(
        deepest_call(machine, TRAP_ENTRY, set(machine.keys(TRAP_HANDLE))),
        deepest_call(machine, TRAP_HANDLE, entries),
        sorted(handlers, key=lambda handler: -handler.chain.bytes),
    )
