"""The requests that a capture makes of an X server, and what their answers say.

Numbers and layouts are those of the X Window System Protocol (appendix B, "Protocol Encoding") and
of its extensions MIT-SHM 1.2, XFIXES, Composite and RANDR 1.5. Everything is little-endian, which
the connection asked for.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

STRUCTURE_NOTIFY, SUBSTRUCTURE_NOTIFY, PROPERTY_CHANGE = 1 << 17, 1 << 19, 1 << 22
"""Which events a window's watcher wants."""
CREATE_NOTIFY, PROPERTY_NOTIFY = 16, 28
"""Types of events."""

EVENT_MASK = 1 << 11
Z_PIXMAP = 2
ALL_PLANES = 0xFFFFFFFF
PROPERTY_LENGTH = 1024
"""Words of a property to ask for: a longer title is cut, and 1024 windows should do."""


@dataclass(frozen=True)
class Request(Generic[T]):
    """What to send, and how to read what is replied."""

    data: bytes
    decode: Callable[[bytes], T]
    answered: bool = True
    """False of a request that is answered only when it is refused."""


class Geometry(NamedTuple):
    """Of a window or pixmap."""

    depth: int
    width: int
    height: int
    border: int


class Attributes(NamedTuple):
    """Of a window."""

    has_pixels: bool
    """False for one that only takes input."""
    viewable: bool
    """It and all that it is in are mapped."""
    override_redirect: bool
    """No window manager may touch it: menus, tips."""


class Pointer(NamedTuple):
    """Where the mouse is, from a window's upper left corner."""

    same_screen: bool
    x: int
    y: int


class CursorImage(NamedTuple):
    """What the mouse's pointer looks like."""

    width: int
    height: int
    hot_x: int
    hot_y: int
    pixels: bytes
    """Blue, green, red, alpha; the colours are multiplied by alpha."""


class Monitor(NamedTuple):
    """A part of the screen that is seen on a monitor of its own."""

    name: int
    """An atom."""
    x: int
    y: int
    width: int
    height: int


class Version(NamedTuple):
    """Of an extension."""

    major: int
    minor: int


def _request(
    opcode: int, detail: int, body: bytes, decode: Callable[[bytes], T], answered: bool = True
) -> Request[T]:
    body += bytes(-len(body) % 4)
    return Request(struct.pack("<BBH", opcode, detail, 1 + len(body) // 4) + body, decode, answered)


def _order(opcode: int, detail: int, body: bytes) -> Request[None]:
    return _request(opcode, detail, body, lambda data: None, answered=False)


# The core protocol.


def select_events(window: int, mask: int) -> Request[None]:
    return _order(2, 0, struct.pack("<III", window, EVENT_MASK, mask))


def get_window_attributes(window: int) -> Request[Attributes]:
    def decode(data: bytes) -> Attributes:
        sort, map_state, override = struct.unpack_from("<H12xBB", data, 12)
        return Attributes(sort == 1, map_state == 2, bool(override))

    return _request(3, 0, struct.pack("<I", window), decode)


def get_geometry(drawable: int) -> Request[Geometry]:
    def decode(data: bytes) -> Geometry:
        return Geometry(data[1], *struct.unpack_from("<HHH", data, 16))

    return _request(14, 0, struct.pack("<I", drawable), decode)


def query_tree(window: int) -> Request[list[int]]:
    """The windows in a window, the lowest first."""

    def decode(data: bytes) -> list[int]:
        (count,) = struct.unpack_from("<H", data, 16)
        return list(struct.unpack_from(f"<{count}I", data, 32))

    return _request(15, 0, struct.pack("<I", window), decode)


def intern_atom(name: str) -> Request[int]:
    text = name.encode()
    return _request(
        16,
        0,
        struct.pack("<Hxx", len(text)) + text,
        lambda data: int.from_bytes(data[8:12], "little"),
    )


def get_atom_name(atom: int) -> Request[str]:
    def decode(data: bytes) -> str:
        (length,) = struct.unpack_from("<H", data, 8)
        return data[32 : 32 + length].decode(errors="replace")

    return _request(17, 0, struct.pack("<I", atom), decode)


def get_property(window: int, name: int) -> Request[bytes]:
    """A property of any type; empty when the window hasn't got it."""

    def decode(data: bytes) -> bytes:
        bits, (count,) = data[1], struct.unpack_from("<I", data, 16)
        return data[32 : 32 + count * bits // 8]

    return _request(20, 0, struct.pack("<IIIII", window, name, 0, 0, PROPERTY_LENGTH), decode)


def query_pointer(window: int) -> Request[Pointer]:
    def decode(data: bytes) -> Pointer:
        return Pointer(bool(data[1]), *struct.unpack_from("<hh", data, 20))

    return _request(38, 0, struct.pack("<I", window), decode)


def get_input_focus() -> Request[None]:
    return _request(43, 0, b"", lambda data: None)


def free_pixmap(pixmap: int) -> Request[None]:
    return _order(54, 0, struct.pack("<I", pixmap))


def get_image(drawable: int, x: int, y: int, width: int, height: int) -> Request[bytes]:
    """Its rows of pixels."""
    return _request(
        73,
        Z_PIXMAP,
        struct.pack("<IhhHHI", drawable, x, y, width, height, ALL_PLANES),
        lambda data: data[32:],
    )


def query_extension(name: str) -> Request[int | None]:
    """The major opcode; None when there is no such extension."""
    text = name.encode()
    return _request(
        98,
        0,
        struct.pack("<Hxx", len(text)) + text,
        lambda data: data[9] if data[8] else None,
    )


# The extensions, each with its opcode first.


def query_version(opcode: int, major: int, minor: int) -> Request[Version]:
    """For XFIXES, Composite and RANDR, which want to be told before anything else."""
    return _request(
        opcode,
        0,
        struct.pack("<II", major, minor),
        lambda data: Version(*struct.unpack_from("<II", data, 8)),
    )


def shm_query_version(opcode: int) -> Request[Version]:
    return _request(opcode, 0, b"", lambda data: Version(*struct.unpack_from("<HH", data, 8)))


def shm_attach_fd(opcode: int, segment: int) -> Request[None]:
    """Takes the descriptor of the memory that the server is to write into."""
    return _order(opcode, 6, struct.pack("<IBxxx", segment, 0))


def shm_detach(opcode: int, segment: int) -> Request[None]:
    return _order(opcode, 2, struct.pack("<I", segment))


def shm_get_image(
    opcode: int, drawable: int, x: int, y: int, width: int, height: int, segment: int
) -> Request[None]:
    """Its rows of pixels, at the segment's beginning once this is answered."""
    body = struct.pack(
        "<IhhHHIBxxxII", drawable, x, y, width, height, ALL_PLANES, Z_PIXMAP, segment, 0
    )
    return _request(opcode, 4, body, lambda data: None)


def xfixes_get_cursor_image(opcode: int) -> Request[CursorImage]:
    def decode(data: bytes) -> CursorImage:
        width, height, hot_x, hot_y = struct.unpack_from("<HHHH", data, 12)
        return CursorImage(width, height, hot_x, hot_y, data[32 : 32 + 4 * width * height])

    return _request(opcode, 4, b"", decode)


def composite_redirect_window(opcode: int, window: int) -> Request[None]:
    """Gives a window memory of its own, of which the server goes on to show what is seen."""
    return _order(opcode, 1, struct.pack("<IBxxx", window, 0))


def composite_name_window_pixmap(opcode: int, window: int, pixmap: int) -> Request[None]:
    """Makes a window's memory known as a pixmap, until that is freed."""
    return _order(opcode, 6, struct.pack("<II", window, pixmap))


def randr_get_monitors(opcode: int, root: int) -> Request[list[Monitor]]:
    def decode(data: bytes) -> list[Monitor]:
        (count,) = struct.unpack_from("<I", data, 12)
        offset, monitors = 32, []
        for _ in range(count):
            name, outputs, *place = struct.unpack_from("<IxxHhhHH", data, offset)
            monitors.append(Monitor(name, *place))
            offset += 24 + 4 * outputs
        return monitors

    return _request(opcode, 42, struct.pack("<IBxxx", root, 1), decode)
