"""What a worker is told when it is started."""

from __future__ import annotations

from typing import Final

import msgspec

from ..registry.manifest import Manifest


class WorkerSpec(msgspec.Struct, frozen=True):
    """What a worker is told when it is started."""

    manifest: Manifest
    seat: int
    salt: int
    #: For tests: step of the protocol -> signal that the worker sends itself there.
    traps: dict[str, int] = {}


def encode_spec(spec: WorkerSpec) -> bytes:
    return msgspec.msgpack.encode(spec, enc_hook=str)


def decode_spec(body: bytes) -> WorkerSpec:
    def hook(kind: type, value: object) -> object:
        return kind(value)

    return msgspec.msgpack.decode(body, type=WorkerSpec, dec_hook=hook)


#: The descriptors that come with a WorkerSpec, in this order.
FD_NAMES: Final = (
    "control",
    "stdout",
    "stderr",
    "lifeline",
    "bell_page",
    "bell",
    "seat_page",
    "seat_bell",
    "routes",
)
