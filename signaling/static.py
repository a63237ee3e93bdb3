"""The page's files: a fixed table, read once, so that no request ever names a path."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; media-src 'self' blob:; img-src 'self' blob:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class StaticFile(NamedTuple):
    """One file of the page."""

    content: bytes
    content_type: str


def load_page() -> Mapping[str, StaticFile]:
    """The page's files by URL path; blocks.

    :raises FileNotFoundError: the installation is incomplete.
    """
    folder = _folder()
    files = {
        f"/{path.name}": StaticFile(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.iterdir())
        if path.suffix in _TYPES
    }
    if "/index.html" not in files:
        raise FileNotFoundError(f"the page is missing: there is no index.html in {folder}")
    return {"/": files["/index.html"], **files}


def _folder() -> Path:
    """Beside this module in an installed package, beside the package in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "web"
    return installed if installed.is_dir() else here.parent / "web"
