"""Requests to a WHIP or WHEP server: no secret leaves its origin, and no server holds us up."""

import asyncio
import datetime
import email.utils
import json
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp

from ..auth import is_loopback
from ..errors import SignalingError
from ..session import EndReason, IceServer
from .links import ice_servers

REQUEST_TIMEOUT = 10.0
"""Seconds for one request, its body included: an SFU answers within one or two."""
LARGEST_BODY = 64 * 1024
"""Bytes of an answer; an SFU's has 2 to 10 KiB."""
MOST_REDIRECTS = 3
LONGEST_DETAIL = 300
"""Characters of what a server said that a person is shown."""

_FINGERPRINT = re.compile("[0-9A-Fa-f]{64}")
_REDIRECTS = (307, 308)  # the only ones that keep the method and the body (RFC 9725 4.5)
_TRANSIENT = frozenset({409, 429, 502, 503, 504})
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_REASONS = {
    400: EndReason.MALFORMED,
    401: EndReason.UNAUTHORIZED,
    403: EndReason.UNAUTHORIZED,
    406: EndReason.REJECTED,
    409: EndReason.NOT_LIVE,
    415: EndReason.REJECTED,
    422: EndReason.REJECTED,
    429: EndReason.OVERLOADED,
    502: EndReason.LOST,
    503: EndReason.OVERLOADED,
    504: EndReason.LOST,
}


Trust = ssl.SSLContext | aiohttp.Fingerprint
"""Authorities, or the one certificate that a server must have."""


def parse_trust(text: str) -> Trust:
    """What `--trust` names: a fingerprint, or a file of certificates in PEM. Blocks.

    :raises ValueError: it is neither; the message is for a person.
    """
    digits = text.replace(":", "")
    if _FINGERPRINT.fullmatch(digits):
        return aiohttp.Fingerprint(bytes.fromhex(digits))
    try:
        return ssl.create_default_context(cafile=text)
    except ssl.SSLError:
        raise ValueError(f"{text} has no certificate in PEM") from None
    except OSError as error:
        raise ValueError(f"{text!r} is no fingerprint (SHA-256, 64 hexadecimal digits), and no "
                         f"file: {error.strerror}") from None  # fmt: skip


class Refused(SignalingError):
    """A server said no, and would say so again."""

    title = "Refused"

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status
        self.reason = _REASONS.get(status, EndReason.FAILED)


class Unavailable(Refused):
    """A server can't be reached, or can't serve at the moment; later it may.

    :param retry_after: seconds that it asked to wait.
    """

    title = "Unavailable"

    def __init__(self, message: str, status: int = 504, retry_after: float = 0.0) -> None:
        super().__init__(message, status)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Reply:
    """What a server said."""

    url: str
    """The URL that answered, which is another than the one asked after a redirect."""
    status: int
    content_type: str
    body: str
    location: str | None = None
    etag: str | None = None
    ice_servers: tuple[IceServer, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def error(self, doing: str) -> Refused:
        """What a refusal says, as an error for a person."""
        text = f"{doing}: {_host(self.url)} said {self.status}"
        detail = _detail(self)
        if detail:
            text += f", {detail}"
        if self.status in _TRANSIENT:
            return Unavailable(text, self.status, _seconds(self.headers.get("Retry-After", "")))
        return Refused(text, self.status)


class HttpClient:
    """Asks one server, whose URL the user has given.

    :param url: https; http to this computer only.
    :param token: sent as bearer token to the URL's own origin, and to no other.
    :param tls: what to trust instead of the usual authorities.
    :raises ValueError: the URL can't be used; the message is for a person.
    """

    def __init__(self, url: str, token: str | None = None, tls: Trust | None = None):
        self.url = check_url(url)
        self._token = token
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls or True),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
            # Nothing is decompressed, so nothing can be larger than what was read.
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask, and follow where the server sends us on to.

        :raises Unavailable: it can't be reached, or does not answer in time.
        :raises Refused: the answer is none that a server of this kind gives.
        """
        for _ in range(MOST_REDIRECTS + 1):
            sent = dict(headers or {})
            if self._token is not None and origin(url) == origin(self.url):
                sent["Authorization"] = f"Bearer {self._token}"
            try:
                async with self._http.request(
                    method, url, data=body, headers=sent, allow_redirects=False
                ) as response:
                    if response.status not in _REDIRECTS:
                        return await _reply(response, url)
                    location = response.headers.get("Location")
            except (aiohttp.ClientError, OSError) as error:
                raise Unavailable(f"can't reach {_host(url)}: {failure(error)}") from error
            if location is None:
                raise Refused(f"{_host(url)} redirects to nowhere")
            url = self._redirected(url, location)
        raise Refused(f"{_host(self.url)} redirects more than {MOST_REDIRECTS} times")

    def _redirected(self, url: str, location: str) -> str:
        try:
            target = check_url(urljoin(url, location))
        except ValueError as error:
            raise Refused(f"{_host(url)} redirects to an address we don't go to: {error}") from None
        if urlsplit(target).scheme == "http" and urlsplit(self.url).scheme != "http":
            # Somebody on the network would have us talk to a service of this computer.
            raise Refused(f"{_host(url)} redirects from https to http")
        return target

    async def close(self) -> None:
        """Close what connections are open."""
        await self._http.close()


def check_url(url: str) -> str:
    """A URL that may be asked: https, or http to this computer; without its fragment.

    :raises ValueError: it is none; the message is for a person.
    """
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http:// or https:// URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"the URL of {parts.hostname} has a user in it: give a token instead")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"{parts.hostname} is not this computer: it needs https://, for what is "
                         "sent over http:// can be read and changed on the way")  # fmt: skip
    return parts._replace(fragment="").geturl()


def origin(url: str) -> tuple[str, str, int]:
    """What must be equal for two URLs to be of one server (RFC 6454)."""
    parts = _split(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def failure(error: BaseException) -> str:
    """What went wrong on the network, in a few words for a person."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error})"
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return f"its certificate's fingerprint is {error.got.hex(':').upper()}, not that one"
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio puts its own words into the error; the system's are plainer.
        number = error.os_error.errno
        if number is None or isinstance(error.os_error, socket.gaierror):
            return error.os_error.strerror or str(error.os_error)
        return os.strerror(number).lower()
    return str(error) or type(error).__name__


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    return parts


def _host(url: str) -> str:
    """A server's name in messages; the path may hold secrets."""
    return urlsplit(url).netloc


async def _reply(response: aiohttp.ClientResponse, url: str) -> Reply:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Refused(f"{_host(url)} answers with more than {LARGEST_BODY} bytes")
    return Reply(
        url=url,
        status=response.status,
        content_type=response.content_type,
        body=body.decode(errors="replace"),
        location=response.headers.get("Location"),
        etag=response.headers.get("ETag"),
        ice_servers=ice_servers(response.headers.getall("Link", [])),
        headers=response.headers,
    )


def _detail(reply: Reply) -> str:
    """What a problem document (RFC 9457), or a line of text, says."""
    text = reply.body if reply.content_type == "text/plain" else ""
    if reply.content_type.endswith("json"):
        try:
            problem = json.loads(reply.body)
        except (ValueError, RecursionError):
            problem = None
        if isinstance(problem, dict):
            told = (problem.get(name) for name in ("detail", "title", "error", "message"))
            text = next((value for value in told if isinstance(value, str) and value), "")
    line = "".join(c if c.isprintable() else " " for c in text).strip()
    return line if len(line) <= LONGEST_DETAIL else f"{line[:LONGEST_DETAIL]}…"


def _seconds(retry_after: str) -> float:
    """The seconds of a Retry-After header (RFC 9110 10.2.3); 0 when it says nothing."""
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        when = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - datetime.datetime.now(datetime.UTC)).total_seconds())
