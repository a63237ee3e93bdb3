"""The command line: `python -m peer`."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from aiortc import RTCIceServer

from .config import Config, ConfigError, load_config
from .constraints.parse import check_required_allowed, parse_constraints
from .device_report import device_report
from .devices.virtual import VirtualBackend
from .doctor import examine, exit_status, findings_as_json, report
from .program import Publication, publish
from .shorthand import parse_shorthand
from .streams import ProgramError, Wanted

# Options that are designed, but not there yet: they must not be taken for something else.
_NOT_YET = ("--answer", "--record", "--tls", "--metrics")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, or 2 for a bad argument or device; the
    doctor's is 1 when something is in the way."""
    parser = _parser()
    options = parser.parse_args(arguments)
    config = Config()
    if options.config is not None:
        try:
            config = load_config(options.config)
        except ConfigError as error:
            parser.error(str(error))
        parser.set_defaults(**config.options())
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
        facing_modes = config.facing_modes()
        print(device_report(fake=options.fake, as_json=options.json, facing_modes=facing_modes))
        return 0
    if options.doctor:
        return asyncio.run(_doctor(options))
    try:
        publication = _publication(options, config)
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    try:
        return asyncio.run(publish(publication))
    except ProgramError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


async def _doctor(options: argparse.Namespace) -> int:
    findings = await examine(
        host=options.host,
        port=options.port,
        ice_servers=options.ice_server,
        backends=[VirtualBackend()] if options.fake else None,
    )
    print(findings_as_json(findings) if options.json else report(findings))
    return exit_status(findings)


def _publication(options: argparse.Namespace, config: Config) -> Publication:
    """:raises ValueError, TypeError: for constraints that make no sense."""
    nothing = (options.video, options.audio, options.screen) == ("none", "none", None)
    if nothing and not options.file:
        raise ValueError(
            "nothing to publish: --video and --audio are none, and no --screen or --file"
        )
    wanted = Wanted(
        video=_constraints("video", options.video),
        audio=_constraints("audio", options.audio),
        screen=_constraints("screen", options.screen) if options.screen is not None else False,
        chosen=frozenset(
            kind for kind in ("video", "audio") if getattr(options, kind) not in (None, "none")
        ),
        files=tuple(options.file),
        loop=options.loop,
        fake=options.fake,
        facing_modes=config.facing_modes(),
    )
    return Publication(
        wanted,
        resume=not options.no_resume,
        host=options.host,
        port=options.port,
        token=options.token,
        control_token=options.control_token,
        authenticate=not options.no_auth,
        ice_servers=tuple(options.ice_server),
    )


def _constraints(kind: str, given: str | Mapping[str, Any] | None) -> dict[str, Any] | bool:
    text = json.dumps(given) if isinstance(given, Mapping) else given
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
    add(
        "--file",
        action="append",
        default=[],
        metavar="PATH-OR-URL",
        help="a media file, or an RTSP or HTTP stream, instead of devices; may be repeated",
    )
    add("--loop", action="store_true", help="begin files again at their end")
    add("--fake", action="store_true", help="virtual devices instead of this computer's")
    add("--no-resume", action="store_true", help="an unplugged device is not waited for")
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
    add(
        "--ice-server",
        type=_ice_server,
        action="append",
        default=[],
        metavar="URL[,USER,PASSWORD]",
        help="stun:HOST:PORT or turn:HOST:PORT?transport=udp,USER,PASSWORD; may be repeated",
    )
    add("--config", type=Path, metavar="FILE", help="a peer.toml; options count for more")
    add(
        "--control-token",
        type=_token,
        metavar="TOKEN",
        help="what viewers must present who may control the camera (default: random)",
    )
    add("--devices", action="store_true", help="list the devices, and exit")
    add("--doctor", action="store_true", help="say what is in the way of publishing, and exit")
    add("--json", action="store_true", help="with --devices or --doctor: as JSON")
    add("-v", "--verbose", action="count", default=0, help="say more; twice, everything")
    for flag in _NOT_YET:
        add(flag, nargs="?", const=True, help=argparse.SUPPRESS)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _ice_server(text: str) -> RTCIceServer:
    url, *account = text.split(",")
    scheme = url.partition(":")[0]
    if scheme not in ("stun", "stuns", "turn", "turns"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no ICE server: stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD"
        )
    if len(account) not in ((0,) if scheme.startswith("stun") else (2,)):
        raise argparse.ArgumentTypeError(
            f"{url!r}: a TURN server takes a user and a password after commas, STUN takes none"
        )
    username, credential = account or (None, None)
    return RTCIceServer(urls=url, username=username, credential=credential)


def _token(text: str) -> str:
    if len(text) < 16 or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError(
            "a token has at least 16 letters, digits, hyphens or underscores"
        )
    return text
