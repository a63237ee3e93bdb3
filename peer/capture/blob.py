"""Blob: immutable bytes and what they are (File API 3)."""

import builtins


class Blob:
    """Some bytes with a media type, for example a photograph.

    `bytes(blob)` is what is in it, without waiting.
    """

    def __init__(self, data: builtins.bytes, type: str = "") -> None:
        self._data = data
        self._type = type

    def __repr__(self) -> str:
        return f"<Blob {self._type}, {self.size} bytes>"

    def __bytes__(self) -> builtins.bytes:
        return self._data

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self._data)

    @property
    def type(self) -> str:
        """The media type, for example `image/jpeg`."""
        return self._type

    def slice(self, start: int = 0, end: int | None = None, contentType: str = "") -> "Blob":
        """A part of it; negative numbers count from the end."""
        return Blob(self._data[start:end], contentType)

    async def arrayBuffer(self) -> builtins.bytes:
        """What is in it."""
        return self._data

    async def bytes(self) -> builtins.bytes:
        """What is in it."""
        return self._data

    async def text(self) -> str:
        """What is in it as UTF-8; what is none becomes U+FFFD."""
        return self._data.decode(errors="replace")
