"""The command line: `python -m peer`."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .constraints.parse import check_required_allowed, parse_constraints
from .device_report import device_report
from .program import ProgramError, Publication, publish
from .shorthand import parse_shorthand

# Options that are designed, but not there yet: they must not be taken for something else.
_NOT_YET = ("--answer", "--record", "--file", "--tls", "--ice-server", "--config", "--metrics",
            "--doctor")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, or 2 for a bad argument or device."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for flag in _NOT_YET:
        if getattr(options, flag.strip("-").replace("-", "_")) is not None:
            parser.error(f"{flag} is not there yet")
    if options.offer not in (None, ""):
        parser.error("--offer to a server elsewhere is not there yet; without an address the "
                     "peer runs its own")  # fmt: skip
    logging.basicConfig(
        level=logging.DEBUG if options.verbose > 1 else logging.INFO,
        format="%(levelname).1s %(name)s: %(message)s" if options.verbose else "%(message)s",
        stream=sys.stderr,
    )
    if not options.verbose:
        # What happens to the devices and the viewers is for everybody; the libraries' talk is not.
        for library in ("aiohttp", "aioice", "aiortc"):
            logging.getLogger(library).setLevel(logging.WARNING)
    if options.devices:
        print(device_report(fake=options.fake, as_json=options.json))
        return 0
    try:
        publication = _publication(options)
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    try:
        return asyncio.run(publish(publication))
    except ProgramError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


def _publication(options: argparse.Namespace) -> Publication:
    """:raises ValueError, TypeError: for constraints that make no sense."""
    if (options.video, options.audio, options.screen) == ("none", "none", None):
        raise ValueError("nothing to publish: --video and --audio are none, and no --screen")
    return Publication(
        video=_constraints("video", options.video),
        audio=_constraints("audio", options.audio),
        screen=_constraints("screen", options.screen) if options.screen is not None else False,
        chosen=frozenset(
            kind for kind in ("video", "audio") if getattr(options, kind) not in (None, "none")
        ),
        fake=options.fake,
        host=options.host,
        port=options.port,
        token=options.token,
        authenticate=not options.no_auth,
    )


def _constraints(kind: str, text: str | None) -> dict[str, Any] | bool:
    try:
        constraints = parse_shorthand(text or "")
        if kind != "screen" and constraints is not False:
            check_required_allowed(parse_constraints(constraints, where=kind), kind)
    except (ValueError, TypeError) as error:
        raise ValueError(f"--{kind}: {error}") from error
    return constraints


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line: the usage is a screenful, and --help shows it."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m peer",
        description="Publishes this computer's camera, microphone or screen to web browsers.",
        epilog="Ctrl-C ends it: the tracks end, and the devices are released.",
    )
    add = parser.add_argument
    add(
        "--offer",
        nargs="?",
        const="",
        metavar="URL",
        help="publish (the default), through a signalling server of our own",
    )
    add(
        "--video",
        metavar="CONSTRAINTS",
        help="the camera: 1280x720@30,facingMode=environment, or JSON, or none",
    )
    add("--audio", metavar="CONSTRAINTS", help="the microphone: on, none, or JSON")
    add("--screen", nargs="?", const="", metavar="CONSTRAINTS", help="the screen, too")
    add("--fake", action="store_true", help="virtual devices instead of this computer's")
    add(
        "--host",
        default="127.0.0.1",
        help="the address to serve on; other computers reach only one that is not loopback",
    )
    add("--port", type=_port, default=8080, help="0 for any free one (default: %(default)s)")
    protection = parser.add_mutually_exclusive_group()
    protection.add_argument(
        "--token", type=_token, help="what viewers must present (default: random)"
    )
    protection.add_argument("--no-auth", action="store_true", help="let anybody watch")
    add("--devices", action="store_true", help="list the devices, and exit")
    add("--json", action="store_true", help="with --devices: as JSON")
    add("-v", "--verbose", action="count", default=0, help="say more; twice, everything")
    for flag in _NOT_YET:
        add(flag, nargs="?", const=True, help=argparse.SUPPRESS)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _token(text: str) -> str:
    if len(text) < 16 or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError(
            "a token has at least 16 letters, digits, hyphens or underscores"
        )
    return text
