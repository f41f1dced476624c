"""Snapshots: how the state of a component is written and read.

A snapshot is a sealed memfd: header, meta, pickle stream, table of buffers, buffers.
Large buffers stand outside the stream, each on pages of its own, and are mapped
copy-on-write where the snapshot is loaded: nothing is copied that nobody writes. What
the state keeps in :mod:`noodle_host.state` is not in it: its descriptors go along.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import io
import mmap
import os
import struct
import time
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from ..state import SharedBytes

if TYPE_CHECKING:
    from pickle import PickleBuffer

#: Blocks of shared memory in one state: a packet carries 16 descriptors.
MAX_BLOCKS: Final = 14

_OUT_OF_BAND_BYTES: Final = 64 * 1024
_MAGIC: Final = b"NHstate\x01"
_ENTRY: Final = struct.Struct("<QQ")  # offset and size; offset 0 is a shared block
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class SnapshotError(Exception):
    """A state cannot be written or read; the text says what of it, and why."""


def dump(state: object, meta: bytes) -> list[int]:
    """Write meta and state; return descriptors, which the caller owns.

    First a sealed memfd with everything, then those of the shared blocks in the state.

    Raises:
        SnapshotError: the state cannot be pickled, there is no room for it, or it has
            too many shared blocks.
    """
    file = _File()
    try:
        return [file.fd, *_write(file, state, meta)]
    except BaseException:
        os.close(file.fd)
        raise


def load(fds: list[int]) -> tuple[bytes, object]:
    """Take the descriptors over, and return (meta, state). They are closed on errors too.

    Raises:
        SnapshotError: they are no snapshot, or unpickling raised.
    """
    import pickle

    fds = list(fds)
    try:
        if not fds:
            raise SnapshotError("it is no snapshot: there is no descriptor")
        header = _Header.read(fds[0])
        if header.block_count != len(fds) - 1:
            raise SnapshotError(
                f"it has {header.block_count} shared blocks, but {len(fds) - 1} descriptors "
                "of such came along"
            )
        blocks = []
        while len(fds) > 1:
            blocks.append(_adopt(fds.pop(1)))
        memory = memoryview(
            mmap.mmap(
                fds[0],
                header.size_bytes,
                flags=mmap.MAP_PRIVATE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
            )
        )
        meta = bytes(memory[header.meta])
        stream = memory[header.stream]
        try:
            # Only what is iterated over counts: a block is handed through as it is.
            state = pickle.loads(stream, buffers=header.buffers(memory, blocks))
        except SnapshotError:
            raise
        except Exception as error:
            raise SnapshotError(_why_unreadable(error)) from error
        return meta, state
    except OSError as error:
        raise SnapshotError(f"it cannot be mapped: {error.strerror}") from error
    finally:
        for fd in fds:
            # Whoever hands over nonsense is told so by the error above.
            with contextlib.suppress(OSError):
                os.close(fd)


def read_meta(fd: int) -> bytes:
    """The meta of a snapshot; nothing is unpickled, and ``fd`` stays open.

    Raises:
        SnapshotError: it is no snapshot.
    """
    where = _Header.read(fd).meta
    return os.pread(fd, where.stop - where.start, where.start)


def size_bytes(fd: int) -> int:
    """What a snapshot takes, without the shared blocks. Raises OSError."""
    return os.fstat(fd).st_size


# -- the file ---------------------------------------------------------------


class _File:
    """The memfd that a snapshot is written into, from its beginning on."""

    def __init__(self) -> None:
        try:
            self.fd = os.memfd_create("noodle-snapshot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as error:
            raise SnapshotError(f"there is no file to write it to: {error.strerror}") from error
        self.position = 0

    def write(self, data: Any) -> int:
        with memoryview(data) as view:
            rest = view.cast("B")
            while rest:
                try:
                    done = os.write(self.fd, rest)
                except OSError as error:
                    self.fail(error)
                self.position += done
                rest = rest[done:]
            return view.nbytes

    def seek(self, position: int) -> None:
        self.position = os.lseek(self.fd, position, os.SEEK_SET)

    def fail(self, error: OSError | MemoryError) -> NoReturn:
        reason = getattr(error, "strerror", None) or "out of memory"
        raise SnapshotError(
            f"there is no room for it: {reason} after {self.position:,} bytes; "
            "raise the memory limit, or keep large data in noodle_host.state"
        ) from error


class _Header(NamedTuple):
    magic: bytes
    size_bytes: int
    meta_bytes: int
    stream_bytes: int
    table_offset: int
    buffer_count: int
    block_count: int

    @classmethod
    def read(cls, fd: int) -> _Header:
        try:
            size = os.fstat(fd).st_size
            is_sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS
            head = os.pread(fd, _HEADER.size, 0)
        except OSError as error:
            raise SnapshotError(f"it is no snapshot: {error.strerror}") from error
        if len(head) < _HEADER.size or not head.startswith(_MAGIC):
            raise SnapshotError("it is no snapshot, or was written by another release of the host")
        self = cls(*_HEADER.unpack(head))
        if size != self.size_bytes or self.table_end > size:
            raise SnapshotError(f"it was cut off: {size:,} of {self.size_bytes:,} bytes are there")
        if not is_sealed:
            # Whoever could change it could do so under the feet of who has it mapped.
            raise SnapshotError("it is no snapshot: it is not sealed")
        return self

    @property
    def meta(self) -> slice:
        return slice(_HEADER.size, _HEADER.size + self.meta_bytes)

    @property
    def stream(self) -> slice:
        return slice(self.meta.stop, self.meta.stop + self.stream_bytes)

    @property
    def table_end(self) -> int:
        return self.table_offset + self.buffer_count * _ENTRY.size

    def buffers(self, memory: memoryview, blocks: list[SharedBytes]) -> Iterator[Any]:
        """What the stream refers to, in its order."""
        remaining = iter(blocks)
        for offset, size in _ENTRY.iter_unpack(memory[self.table_offset : self.table_end]):
            if offset:
                yield memory[offset : offset + size]
                continue
            block = next(remaining)
            if len(block) != size:
                raise SnapshotError(f"a shared block of {size:,} bytes has {len(block):,} now")
            yield block


_HEADER: Final = struct.Struct("<8s6Q")


def _adopt(fd: int) -> SharedBytes:
    try:
        return SharedBytes.adopt(fd)
    except (ValueError, OSError) as error:
        raise SnapshotError(f"a shared block cannot be adopted: {error}") from error


def _why_unreadable(error: Exception) -> str:
    text = f"unpickling raised {type(error).__name__}: {error}"
    if isinstance(error, ImportError) or "Can't get attribute" in str(error):
        return (
            f"{text}; a class that a state holds must be found under its old name, "
            "until no version is left that writes it"
        )
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename == __file__:
        return text
    code = trace.tb_frame.f_code
    return f"{text} (in {code.co_qualname}, {code.co_filename}:{trace.tb_lineno})"


# -- writing ----------------------------------------------------------------


def _write(file: _File, state: object, meta: bytes) -> list[int]:
    """Fill the file, seal it, and return descriptors of the shared blocks."""
    file.write(bytes(_HEADER.size) + meta)
    aside = _Aside()
    try:
        _pickler_class()(file, aside).dump(state)
    except SnapshotError:
        raise
    except MemoryError as error:
        file.fail(error)
    except Exception as error:
        raise SnapshotError(_Search(state).why_unpicklable(error)) from error
    stream_bytes = file.position - _HEADER.size - len(meta)

    table_offset = file.position
    position = table_offset + len(aside.buffers) * _ENTRY.size
    raws = [None if b is None else b.raw() for b in aside.buffers]
    blocks = iter(aside.blocks)
    entries = []
    for raw in raws:
        if raw is None:
            entries.append((0, len(next(blocks))))
        else:
            # The way up to the next page stays a hole.
            position = -(-position // mmap.PAGESIZE) * mmap.PAGESIZE
            entries.append((position, raw.nbytes))
            position += raw.nbytes
    file.write(b"".join(_ENTRY.pack(*entry) for entry in entries))
    for raw, (offset, _) in zip(raws, entries, strict=True):
        if raw is not None:
            file.seek(offset)
            file.write(raw)
    head = _Header(
        _MAGIC,
        file.position,
        len(meta),
        stream_bytes,
        table_offset,
        len(raws),
        len(aside.blocks),
    )
    file.seek(0)
    file.write(_HEADER.pack(*head))
    fds: list[int] = []
    try:
        fcntl.fcntl(file.fd, fcntl.F_ADD_SEALS, _SEALS | fcntl.F_SEAL_SEAL)
        for block in aside.blocks:
            fd = os.dup(block.fileno())
            fds.append(fd)
    except OSError as error:
        for fd in fds:
            os.close(fd)
        raise SnapshotError(f"its descriptors cannot be passed on: {error.strerror}") from error
    return fds


class _Aside:
    """What a state has that is not written into its stream.

    ``buffers`` are in the order of the stream; None is the next one of ``blocks``.
    It knows nothing of the pickler: a cycle would keep the whole state alive.
    """

    def __init__(self) -> None:
        self.buffers: list[PickleBuffer | None] = []
        self.blocks: list[SharedBytes] = []
        self._of_block: PickleBuffer | None = None

    def reduce_block(self, block: SharedBytes) -> tuple[Any, ...]:
        from pickle import PickleBuffer

        self._of_block = PickleBuffer(block)
        self.blocks.append(block)
        if len(self.blocks) > MAX_BLOCKS:
            raise SnapshotError(
                f"it has more than {MAX_BLOCKS} blocks of shared memory (SharedArray, "
                "SharedBytes); keep it in fewer, larger ones, and use views of them"
            )
        return _block, (self._of_block,)

    def take(self, buffer: PickleBuffer) -> bool:
        """Whether a buffer is written into the stream."""
        if buffer is self._of_block:
            self.buffers.append(None)
            return False
        if buffer.raw().nbytes < _OUT_OF_BAND_BYTES:
            return True
        self.buffers.append(buffer)
        return False


@functools.cache
def _pickler_class() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def __init__(self, file: Any, aside: _Aside) -> None:
            # A dict, because the pickler looks into it for every object.
            self.dispatch_table = {
                **cloudpickle.Pickler.dispatch_table,
                SharedBytes: aside.reduce_block,
            }
            super().__init__(file, protocol=5, buffer_callback=aside.take)

    return Pickler


def _block(block: SharedBytes) -> SharedBytes:
    """What a shared block is unpickled by; see :meth:`_Header.buffers`."""
    return block


# -- what cannot be pickled -------------------------------------------------

_SEARCH_S: Final = 2.0
_SEARCH_OBJECTS: Final = 500_000
#: A path is shown with so many steps of its beginning, and of its end.
_SHOWN_STEPS: Final = 8
_ADVICE: Final = "; leave it out in snapshot(), and make it anew in restore()"

_ATOMS: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, type(...), type(NotImplemented)}
)


class _Node(NamedTuple):
    """An object of a state, and how it is reached: the step from its parent."""

    value: object
    parent: int
    kind: str
    key: object


class _Search:
    """Looks for what of a state cannot be pickled, once pickling has failed.

    It goes breadth-first through what the pickler would be given, without recursion,
    and reduces every object for itself: the one whose own reduction raises is the one.
    """

    def __init__(self, state: object) -> None:
        self._nodes = [_Node(state, 0, "state", None)]
        self._seen = {id(state)}
        self._pickler = _pickler_class()(io.BytesIO(), _Aside())
        self._visited = 0
        self._deadline = time.monotonic() + _SEARCH_S

    def why_unpicklable(self, error: Exception) -> str:
        """One sentence with the path of what ``error`` was about, or what is known of it."""
        found = self._find()
        if found:
            return found
        if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
            # Breadth-first, the last one is the deepest.
            return (
                f"{self._path(len(self._nodes) - 1)}: it is nested too deeply to be pickled; "
                "keep what refers to each other in a list or dict, by number or name"
            )
        return (
            f"pickling raised {type(error).__name__}: {error}; which object it is was not "
            f"found among {self._visited:,}"
            + ("" if self._has_time() else f", the search ended after {_SEARCH_S:g} s")
        )

    def _find(self) -> str:
        while self._visited < len(self._nodes):
            value = self._nodes[self._visited].value
            try:
                for kind, key, child in self._children(value):
                    self._add(kind, key, child)
                    if not self._has_time():
                        return ""
            except Exception as error:
                return f"{self._path(self._visited)}: {_reason(value, error)}{_ADVICE}"
            self._visited += 1
        return ""

    def _has_time(self) -> bool:
        return len(self._nodes) < _SEARCH_OBJECTS and time.monotonic() < self._deadline

    def _add(self, kind: str, key: object, child: object) -> None:
        # The nodes keep what they hold alive: no other object gets its id meanwhile.
        if type(child) not in _ATOMS and id(child) not in self._seen:
            self._seen.add(id(child))
            self._nodes.append(_Node(child, self._visited, kind, key))

    def _children(self, value: Any) -> Iterator[tuple[str, object, object]]:
        kind = type(value)
        if kind is list or kind is tuple:
            for index, child in enumerate(value):
                yield "item", index, child
        elif kind is dict:
            for key, child in value.items():
                yield "key", key, key
                yield "item", key, child
        elif kind is set or kind is frozenset:
            for child in value:
                yield "element", None, child
        else:
            yield from self._reduced(value)

    def _reduced(self, value: Any) -> Iterator[tuple[str, object, object]]:
        reduced = self._reduce(value)
        if not isinstance(reduced, tuple):
            # There is nothing below it, so that it can be tried.
            self._pickler.clear_memo()
            self._pickler.dump(value)
            return
        arguments, state, items, pairs = (*reduced[1:5], None, None, None)[:4]
        for index, child in enumerate(arguments):
            yield "reduced", f"[1][{index}]", child
        # What has slots gives two dictionaries.
        for part in state if type(state) is tuple and len(state) == 2 else (state,):
            if type(part) is dict:
                for name, child in part.items():
                    yield "attribute", name, child
            else:
                yield "reduced", "[2]", part
        for index, child in enumerate(items or ()):
            yield "item", index, child
        for key, child in pairs or ():
            yield "key", key, key
            yield "item", key, child

    def _reduce(self, value: object) -> Any:
        """As the pickler would, for this object alone; a text if there is nothing below it."""
        from pickle import PickleBuffer

        reduced = self._pickler.reducer_override(value)
        if reduced is not NotImplemented:
            return reduced
        if isinstance(value, type | types.FunctionType | PickleBuffer):
            return ""
        reducer = self._pickler.dispatch_table.get(type(value))
        return value.__reduce_ex__(5) if reducer is None else reducer(value)

    def _path(self, index: int) -> str:
        steps = []
        while index:
            node = self._nodes[index]
            steps.append(_step(node, self._nodes[node.parent].value))
            index = node.parent
        steps.reverse()
        left_out = len(steps) - 2 * _SHOWN_STEPS
        if left_out > 0:
            middle = [f" ... {left_out:,} steps ... "]
            steps = steps[:_SHOWN_STEPS] + middle + steps[-_SHOWN_STEPS:]
        return "state" + "".join(steps)


def _step(node: _Node, parent: object) -> str:
    match node.kind:
        case "item":
            return f"[{_short(node.key)}]"
        case "key":
            return f" (its key {_short(node.key)})"
        case "element":
            return f" (its element {_short(node.value)})"
        case "attribute":
            return f".{node.key}"
    return _attribute(parent, node.value) or f".__reduce_ex__(5){node.key}"


def _attribute(parent: object, child: object) -> str:
    """The step to a child that is an attribute made in C, or an item of such a tuple."""
    for cls in type(parent).__mro__:
        for name, descriptor in vars(cls).items():
            # Getting these runs no code of the component's, but may raise all the same.
            if isinstance(descriptor, types.MemberDescriptorType | types.GetSetDescriptorType):
                with contextlib.suppress(Exception):
                    value = getattr(parent, name)
                    if value is child:
                        return f".{name}"
                    if type(value) is tuple:
                        for index, item in enumerate(value):
                            if item is child:
                                return f".{name}[{index}]"
    return ""


def _short(value: object) -> str:
    if type(value) not in _ATOMS:
        return f"<{type(value).__qualname__}>"
    text = repr(value) if not isinstance(value, str | bytes | bytearray) else repr(value[:40])
    return text if len(text) <= 50 else f"{text[:47]}..."


def _reason(value: object, error: Exception) -> str:
    name = type(value).__qualname__
    name = f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
    if isinstance(error, TypeError) and str(error).startswith("cannot pickle"):
        return f"{name} cannot be pickled"
    return f"pickling {name} raised {type(error).__name__}: {error}"
