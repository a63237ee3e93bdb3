"""Which backend plays an address: a file of this computer, or a stream of the network."""

from urllib.parse import unquote, urlsplit

from .media_backend import MediaBackend
from .media_file import MediaFile
from .network_stream import SCHEMES, NetworkStream


def media_source(address: str, *, loop: bool = False) -> MediaBackend:
    """The backend of a path, or of a `file:`, `rtsp:`, `http:` … address.

    :param loop: whether a file begins again at its end.
    :raises ValueError: for an address of another sort; the message names those that are possible.
    """
    scheme, separator, rest = address.partition("://")
    scheme = scheme.lower()
    if not separator:
        return MediaFile(address, loop=loop)
    if scheme == "file":
        return MediaFile(unquote(urlsplit(address).path), loop=loop)
    if scheme not in SCHEMES:
        raise ValueError(
            f"{scheme}://{rest} can't be played: it must be a path, or begin with "
            f"{', '.join(f'{known}://' for known in SCHEMES)}"
        )
    return NetworkStream(f"{scheme}://{rest}")  # FFmpeg knows them in lower case only
