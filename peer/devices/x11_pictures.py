"""Pictures of an X11 drawable: written by the server into shared memory, where it can.

A picture's memory is lent: it is used for another one only when nobody holds the first any more,
so that nothing has to be copied and nothing changes under a reader's eyes.
"""

import os
import sys
import weakref
from collections.abc import Callable
from mmap import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .x11 import Connection, XError
from .x11_requests import (
    get_image,
    query_extension,
    shm_attach_fd,
    shm_detach,
    shm_get_image,
    shm_query_version,
)

Pixels = NDArray[np.uint8]
"""Rows of a picture, each padded to 32 bits."""
SEGMENTS = 8
"""Pictures in shared memory at a time. More are held only by a reader that is in trouble; what it
gets beyond these comes through the socket."""
PADDING = 64
"""Bytes beyond a picture, which FFmpeg's converters may read (its AV_INPUT_BUFFER_PADDING_SIZE)."""
NEW_DESCRIPTORS = (1, 2)
"""The version of MIT-SHM that takes memory by its descriptor, which works between containers."""


class Pictures:
    """Takes pictures for one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._segments: list[_Segment] = []
        self._size = 0
        self._shm = self._shared_memory()

    def request(
        self, drawable: int, x: int, y: int, width: int, height: int, bits_per_pixel: int
    ) -> Callable[[], Pixels]:
        """Ask for a picture; the answer, once all answers are there, is its rows.

        That raises XError when there can be none: the drawable is gone or smaller, or not shown.
        """
        stride = (width * bits_per_pixel + 31) // 32 * 4
        segment = self._free_segment(stride * height)
        if segment is None:
            image = self._connection.send(get_image(drawable, x, y, width, height))

            def received() -> Pixels:
                data = image.get()
                memory = np.empty(len(data) + PADDING, np.uint8)[: len(data)]
                memory[:] = np.frombuffer(data, np.uint8)
                return memory.reshape(height, stride)

            return received

        memory = segment.lend(stride * height)
        done = self._connection.send(
            shm_get_image(self._shm, drawable, x, y, width, height, segment.id)
        )

        def written() -> Pixels:
            done.get()
            return memory.reshape(height, stride)

        return written

    def _shared_memory(self) -> int:
        """The opcode of MIT-SHM, or 0 when the server can't write into this program's memory."""
        connection = self._connection
        if not connection.local or sys.platform != "linux":
            return 0
        opcode = connection.ask(query_extension("MIT-SHM"))
        if opcode is None or connection.ask(shm_query_version(opcode)) < NEW_DESCRIPTORS:
            return 0
        trial = _Segment(connection, opcode, 1)
        connection.settle_all()
        try:
            trial.attached.get()
        except XError:
            return 0
        trial.detach(connection, opcode)
        return opcode

    def _free_segment(self, size: int) -> "_Segment | None":
        if not self._shm:
            return None
        if size != self._size:
            for segment in self._segments:
                segment.detach(self._connection, self._shm)
            self._segments, self._size = [], size
        for segment in self._segments:
            if segment.free:
                return segment
        if len(self._segments) == SEGMENTS:
            return None
        self._segments.append(_Segment(self._connection, self._shm, size))
        return self._segments[-1]


class _Segment:
    """Memory that the server shares."""

    def __init__(self, connection: Connection, opcode: int, size: int) -> None:
        self.id = connection.new_id()
        self._lent: weakref.ref[NDArray[Any]] | None = None
        descriptor = os.memfd_create("x11 picture")
        try:
            os.truncate(descriptor, size + PADDING)
            self._memory = mmap(descriptor, size + PADDING)
            self.attached = connection.send(shm_attach_fd(opcode, self.id), descriptor)
        finally:
            os.close(descriptor)

    @property
    def free(self) -> bool:
        return self._lent is None or self._lent() is None

    def lend(self, size: int) -> Pixels:
        """The memory, which is lent as long as this array or a view of it lives."""
        array = np.frombuffer(self._memory, np.uint8, size)
        self._lent = weakref.ref(array)
        return array

    def detach(self, connection: Connection, opcode: int) -> None:
        connection.send(shm_detach(opcode, self.id))
