"""The signalling server alone: `python -m signaling`."""

import argparse
import asyncio
import contextlib
import logging
import re
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from .auth import generate_token, is_loopback
from .ice import IceConfiguration, parse_ice_server
from .server import ServerConfig, ServerStartError, SignalingServer, own_address
from .tls import ServerTls, TlsError, given_tls, own_tls, parse_certificate_and_key

logger = logging.getLogger("signaling")

MIN_TOKEN = 16
"""Characters: what a person makes up below that can be guessed."""
_ORIGIN = re.compile(r"https?://[^/\s]+")


class _Failure(Exception):
    """The server can't run; the message is one line for a person."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until SIGINT or SIGTERM; returns the exit status: 2 if it can't run."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose > 1 else logging.INFO,
        format="%(levelname).1s %(name)s: %(message)s" if options.verbose else "%(message)s",
        stream=sys.stderr,
    )
    try:
        ice = IceConfiguration(tuple(options.ice_server), options.turn_secret)
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(options, ice))
    except _Failure as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(options: argparse.Namespace, ice: IceConfiguration) -> None:
    """:raises _Failure: it can't."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            tls = await asyncio.to_thread(_tls, options)
            server = SignalingServer(_config(options, ice, tls))
            await server.start()
            stack.push_async_callback(server.stop)
        except (TlsError, ServerStartError) as error:
            raise _Failure(str(error)) from error
        if options.redis is not None:
            await _join_cluster(server, options.redis, stack)
        for warning in server.warnings:
            logger.warning("%s", warning)
        print(f"Watch at {server.url}", flush=True)
        if options.control_token is not None:
            print(f"Control at {server.control_url}", flush=True)
        if tls is not None and tls.self_signed:
            print(f"The certificate's fingerprint is {tls.fingerprint}", flush=True)
        await stopping.wait()
        logger.info("leaving")


async def _join_cluster(
    server: SignalingServer, url: str, stack: contextlib.AsyncExitStack
) -> None:
    """:raises _Failure: Redis can't be used."""
    try:
        from .cluster.cluster_node import ClusterNode
        from .cluster.redis_bus import BusError
    except ImportError as error:
        raise _Failure(f"--redis needs the package redis: {error}") from error
    try:
        node = ClusterNode(server.hub, url)
        await node.start()
    except BusError as error:
        raise _Failure(str(error)) from error
    stack.push_async_callback(node.close)


def _config(
    options: argparse.Namespace, ice: IceConfiguration, tls: ServerTls | None
) -> ServerConfig:
    return ServerConfig(
        host=options.host,
        port=options.port,
        token=None if options.no_auth else options.token or generate_token(),
        control_token=options.control_token,
        publish_token=options.publish_token,
        watchers_publish=True,
        open_to_all=options.no_auth,
        names=frozenset(options.name),
        origins=frozenset(options.origin),
        tls=None if tls is None else tls.context,
        strict=options.strict,
        metrics=options.metrics,
        ice=ice,
    )


def _tls(options: argparse.Namespace) -> ServerTls | None:
    """Blocks.

    :raises TlsError: a certificate can't be used.
    """
    if options.tls is None:
        return None
    if options.tls:
        return given_tls(*options.tls)
    return own_tls(() if is_loopback(options.host) else (own_address(),))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line: the usage is a screenful, and --help shows it."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m signaling",
        description="Let cameras be published and watched, by WebSocket, WHIP and WHEP.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to serve on (%(default)s)")
    add("--port", type=_port, default=8080, help="port to serve on; 0 for any (%(default)s)")
    add("--tls", nargs="?", const=(), type=_certificate_and_key, metavar="CERT,KEY",
        help="serve over TLS, with a certificate of its own or with these files")  # fmt: skip
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--token", type=_token,
                        help="what watchers must show; one is made up otherwise")  # fmt: skip
    either.add_argument("--no-auth", action="store_true", help="let everybody watch, and publish")
    add("--control-token", type=_token, metavar="TOKEN",
        help="what watchers must show to control cameras; nobody can otherwise")  # fmt: skip
    add("--publish-token", type=_token, metavar="TOKEN",
        help="what publishers must show; whoever may watch may publish otherwise")  # fmt: skip
    add("--name", type=str.lower, action="append", default=[], metavar="HOST",
        help="a host name under which this server is reached; may be repeated")  # fmt: skip
    add("--origin", type=_origin, action="append", default=[], metavar="URL",
        help="a site whose pages may use this server; may be repeated")  # fmt: skip
    add("--ice-server", type=_ice_server, action="append", default=[], metavar="URL",
        help="stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD; may be repeated")  # fmt: skip
    add("--turn-secret", metavar="SECRET",
        help="what TURN servers without an account share with this server")  # fmt: skip
    add("--redis", metavar="URL", help="share peers with other servers, over this Redis")
    add("--strict", action="store_true", help="a PATCH without If-Match is refused (RFC 9725)")
    add("--metrics", action="store_true", help="serve /metrics for Prometheus")
    add("-v", "--verbose", action="count", default=0, help="say more; twice for everything")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _token(text: str) -> str:
    if len(text) < MIN_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(
            f"a token has at least {MIN_TOKEN} letters, digits and signs"
        )
    return text


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no origin, as https://example.org is")
    return text


def _certificate_and_key(text: str) -> object:
    try:
        return parse_certificate_and_key(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _ice_server(text: str) -> object:
    try:
        return parse_ice_server(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
