"""The writing stage on a Ray cluster: one task for each part.

Complete row groups wait in Ray's object store, so that the calling process holds at most one. A task that
ends with its process or node is repeated, and writes the same file once more.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from calotype.archive.engines.ray_cluster import RaySettings
from calotype.archive.part_writer import GROUP_BYTES, GROUP_ROWS, PartWriter
from calotype.archive.records import Record
from calotype.archive.schema import Row, picture_bytes
from calotype.archive.store import FolderStore, Store, open_store
from calotype.errors import CalotypeError

__all__ = ["RayPart", "write_part"]


class RayPart:
    """A part that a task of Ray writes when it is closed.

    For an archive in a folder the task runs on the calling machine, for other machines may not have that
    folder. An object store is written by any machine.
    """

    def __init__(self, store: Store, settings: RaySettings, *, decode: bool) -> None:
        is_folder = isinstance(store, FolderStore)
        self._address = str(Path(store.address).absolute()) if is_folder else store.address
        self._is_local, self._settings, self._decode = is_folder, settings, decode
        self._group: list[Row] = []
        self._group_bytes = 0
        self._groups: list[Any] = []
        self._task: Any = None
        self._result = Future[Record]()

    def add(self, row: Row) -> None:
        self._group.append(row)
        self._group_bytes += picture_bytes(row)
        if len(self._group) >= GROUP_ROWS or self._group_bytes >= GROUP_BYTES:
            self._put_group()

    def close(self, name: str) -> Future[Record]:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._put_group()
        options: dict[str, Any] = {"num_cpus": self._settings.writer_cpus}
        if self._is_local:
            here = ray.get_runtime_context().get_node_id()
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(here, soft=False)
        task = ray.remote(write_part).options(**options)
        groups, self._groups = self._groups, []
        self._task = task.remote(self._address, name, groups, decode=self._decode)
        self._task.future().add_done_callback(partial(_settle, self._result))
        return self._result

    def is_settled(self) -> bool:
        """Returns whether the part has been written, or has failed."""
        return self._result.done()

    def discard(self) -> None:
        self._group, self._groups = [], []

    def cancel(self) -> None:
        """Ends the task, if there is one and it runs."""
        import ray

        if self._task is not None and not self._result.done():
            ray.cancel(self._task, force=True)

    def _put_group(self) -> None:
        import ray

        if self._group:
            self._groups.append(ray.put(self._group))
        self._group, self._group_bytes = [], 0


def write_part(address: str, name: str, groups: list[Any], *, decode: bool) -> Record | CalotypeError:
    """The writing stage: writes a part of row groups that wait in the object store."""
    import ray

    try:
        writer = PartWriter(open_store(address), decode=decode)
        for group in groups:
            for row in ray.get(group):
                writer.add(row)
        return writer.close(name)
    except CalotypeError as error:  # Ray would add its traceback
        return error


def _settle(result: Future[Record], task: Future[Record | CalotypeError]) -> None:
    """Sets the result of a part from the result of its task."""
    error = task.exception()
    outcome = None if error is not None else task.result()
    if isinstance(outcome, Record):
        result.set_result(outcome)
    elif isinstance(outcome, CalotypeError):
        result.set_exception(outcome)
    else:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        result.set_exception(CalotypeError(f"Ray cannot write a part: {reason[-1]}"))
