"""Processor time of a process and of all that it has started, on Linux."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

__all__ = ["tree_seconds"]


def tree_seconds(root: int) -> float:
    """Returns the processor time in seconds of the process ``root`` and its descendants.

    Descendants that have ended count if their parents have waited for them.
    """
    children, ticks = defaultdict[int, list[int]](list), dict[int, int]()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # The process has ended meanwhile.
            continue
        children[int(fields[1])].append(int(folder.name))
        ticks[int(folder.name)] = sum(map(int, fields[11:15]))
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        total += ticks.get(process, 0)
        waiting += children[process]
    return total / os.sysconf("SC_CLK_TCK")
