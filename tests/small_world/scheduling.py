"""A scheduler of pytest-xdist for two worlds: each process is in one, collects the files of that world, and runs them.

A bound is made small when a module is imported, so no process can be in both worlds. Collecting half of the files
costs half.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from tests.small_world.loader import SWITCH
from tests.small_world.worlds import World

Node: TypeAlias = WorkerController


def world_of_node(node: Node) -> World:
    """Return the world of a process, which its environment names."""
    return "small" if node.gateway.spec.env.get(SWITCH) == "1" else "usual"


class WorldScheduling:
    """Whole files for the processes of each world, as `--dist loadfile` gives them; implements xdist's `Scheduling`."""

    def __init__(self, config: pytest.Config, log: Producer, nodes: dict[World, int]) -> None:
        """Take the number of processes of each world."""
        self._session: Final[Callable[[], Any]] = lambda: config.pluginmanager.get_plugin("session")
        self._worlds: Final = {world: LoadFileScheduling(config, log) for world in nodes}
        for world, count in nodes.items():
            self._worlds[world].numnodes = count

    @property
    def nodes(self) -> list[Node]:
        """The processes that run."""
        return [node for world in self._worlds.values() for node in world.nodes]

    @property
    def collection_is_completed(self) -> bool:
        """Whether every process has collected its files."""
        return all(world.collection_is_completed for world in self._worlds.values())

    @property
    def tests_finished(self) -> bool:
        """Whether both worlds have nothing left to give."""
        return all(world.tests_finished for world in self._worlds.values())

    @property
    def has_pending(self) -> bool:
        """Whether a test is left in any world."""
        return any(world.has_pending for world in self._worlds.values())

    def add_node(self, node: Node) -> None:
        """Add a process to its world."""
        self._of(node).add_node(node)

    def remove_node(self, node: Node) -> str | None:
        """Remove a process; return the test that it crashed in."""
        crashed: str | None = self._of(node).remove_node(node)
        return crashed

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        """Add what a process collected. The session, which looks at the last one only, gets the sum of both worlds."""
        self._of(node).add_node_collection(node, collection)
        collected = [[*world.registered_collections.values()][:1] for world in self._worlds.values()]
        self._session().testscollected = sum(len(tests) for first in collected for tests in first)

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        """Note that a test has ended, and give the process more."""
        self._of(node).mark_test_complete(node, item_index, duration)

    def mark_test_pending(self, test: str) -> None:
        """Refuse, as the scheduler of whole files does."""
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        """Refuse, as the scheduler of whole files does."""
        raise NotImplementedError

    def schedule(self) -> None:
        """Give files to the processes of both worlds."""
        for world in self._worlds.values():
            world.schedule()

    def _of(self, node: Node) -> LoadFileScheduling:
        return self._worlds[world_of_node(node)]
