"""Both implementations of lanes and bells, for tests that run with either or with a mix."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from noodle_host.router import bell, lane, layout
from noodle_host.router.segment import Segment

#: Path of an extension to test instead of the one that was built.
EXTENSION = os.environ.get("NOODLE_HOST_TEST_EXTENSION")

PYTHON = SimpleNamespace(
    __name__="python",
    LaneMemory=lane.LaneMemory,
    LaneReader=lane.LaneReader,
    LaneWriter=lane.LaneWriter,
    Sleeper=bell.Sleeper,
    fence=bell.fence,
)


def load_native() -> Any:
    """The native lanes, or why there are none."""
    name = "noodle_host.router._lane"
    try:
        if EXTENSION:
            loader = importlib.machinery.ExtensionFileLoader(name, EXTENSION)
            spec = importlib.util.spec_from_loader(name, loader)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
            return module
        return importlib.import_module(name)
    except ImportError as error:
        return f"no native lanes: {error}"


NATIVE = load_native()


def implementation(name: str) -> Any:
    if name == "python":
        return PYTHON
    if isinstance(NATIVE, str):
        pytest.skip(NATIVE)
    return NATIVE


@pytest.fixture
def python() -> Any:
    return PYTHON


@pytest.fixture
def native() -> Any:
    return implementation("native")


@pytest.fixture(params=["python", "native"])
def lanes(request: pytest.FixtureRequest) -> Any:
    """One implementation."""
    return implementation(request.param)


@pytest.fixture(params=["python-python", "python-native", "native-python", "native-native"])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """The producer's implementation and the consumer's."""
    producer, consumer = request.param.split("-")
    return implementation(producer), implementation(consumer)


@pytest.fixture
def memory_in() -> Iterator[Callable[[Any, int], Any]]:
    """``memory_in(lanes, ring_bytes)``: a LaneMemory; the same ring for each implementation."""
    segments: dict[int, Segment] = {}

    def make(lanes: Any, ring_bytes: int) -> Any:
        segment = segments.get(ring_bytes)
        if segment is None:
            size = layout.CHANNEL_HEADER_BYTES + ring_bytes
            segment = segments[ring_bytes] = Segment.create("test-lane", size)
        ring = segment.view[layout.CHANNEL_HEADER_BYTES :]
        return lanes.LaneMemory(segment.words, ring, layout.CH_REQUESTS)

    yield make
    for segment in segments.values():
        segment.close()
