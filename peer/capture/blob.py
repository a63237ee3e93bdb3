"""Blob: immutable bytes and what they are (File API 3)."""


class Blob:
    """Some bytes with a media type, for example a photograph.

    `bytes(blob)` is what is in it.
    """

    def __init__(self, data: bytes, type: str) -> None:
        self._data = data
        self._type = type

    def __repr__(self) -> str:
        return f"<Blob {self._type}, {self.size} bytes>"

    def __bytes__(self) -> bytes:
        return self._data

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self._data)

    @property
    def type(self) -> str:
        """The media type, for example `image/jpeg`."""
        return self._type

    async def arrayBuffer(self) -> bytes:
        """The bytes."""
        return self._data
