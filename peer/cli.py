"""The command line: `python -m peer`."""

import argparse
import asyncio
import json
import logging
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import av
from aiortc import RTCIceServer

from signaling import IceServer
from signaling.auth import is_loopback
from signaling.clients import ANY_PRODUCER, Trust, WebSocketClient, client_for, parse_trust
from signaling.ice import IceConfiguration, parse_ice_server
from signaling.tls import parse_certificate_and_key

from .config import Config, ConfigError, load_config
from .constraints.parse import check_required_allowed, parse_constraints
from .device_report import device_report
from .devices.virtual import VirtualBackend
from .doctor import examine, exit_status, findings_as_json, report
from .media.encoder_catalogue import HARDWARE
from .media.outgoing import sendable_codecs
from .media.recorder import check_recordable
from .program import OWN, Plan, run
from .serving import Serving
from .shorthand import parse_shorthand
from .streams import ProgramError, Wanted


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
        try:
            parser.set_defaults(**_defaults(config))
        except argparse.ArgumentTypeError as error:
            parser.error(f"{options.config}: {error}")
        options = parser.parse_args(arguments)
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
        plan = _plan(options, config)
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    try:
        return asyncio.run(run(plan))
    except ProgramError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


def _defaults(config: Config) -> dict[str, Any]:
    """The configuration as options; what argparse would not read by itself is read here.

    :raises argparse.ArgumentTypeError: a value makes no sense.
    """
    defaults = config.options()
    if "ice_server" in defaults:
        defaults["ice_server"] = [_ice_server(text) for text in defaults["ice_server"]]
    return defaults


async def _doctor(options: argparse.Namespace) -> int:
    findings = await examine(
        host=options.host,
        port=options.port,
        ice_servers=_ice_servers(options),
        backends=[VirtualBackend()] if options.fake else None,
    )
    print(findings_as_json(findings) if options.json else report(findings))
    return exit_status(findings)


def _plan(options: argparse.Namespace, config: Config) -> Plan:
    """:raises ValueError, TypeError: for options that make no sense."""
    answers = tuple(options.answer)
    offers = tuple(options.offer) or (() if answers else (OWN,))
    if [*offers, *answers].count("-") > 1:
        raise ValueError("only one side can be copied and pasted")
    for address in offers:
        if address != OWN:
            client_for(address, offer=True, token=options.token)
    sources = [
        client_for(address, offer=False, token=options.token)
        for address in answers
        if address != OWN
    ]
    if options.watch != ANY_PRODUCER and not any(
        isinstance(client, WebSocketClient) for client in sources
    ):
        raise ValueError("--watch chooses at a signalling server: it needs --answer ws://…")
    if options.token is not None and OWN in (*offers, *answers):
        _check_token(options.token)
    if options.record is not None and not answers:
        raise ValueError("--record keeps what is received: it needs --answer")
    if options.record is not None:
        check_recordable(options.record)
    return Plan(
        _wanted(options, config) if offers else Wanted(),
        offers,
        answers,
        record=options.record,
        resume=not options.no_resume,
        codecs=tuple(options.codecs),
        hardware=options.hardware,
        dtx=options.dtx,
        serving=Serving(
            host=options.host,
            port=options.port,
            tls=options.tls is not None,
            certificate=options.tls or None,
            token=options.token,
            control_token=options.control_token,
            publish_token=options.publish_token,
            receives=OWN in answers,
            authenticate=not options.no_auth,
            ice=IceConfiguration(tuple(options.ice_server), options.turn_secret),
            metrics=options.metrics,
        ),
        token=options.token,
        trust=options.trust,
        name=options.name,
        watch=options.watch,
        room=options.room,
        ice_servers=_ice_servers(options),
        allow_loopback=_is_local(options.host, offers, answers),
    )


def _is_local(host: str, offers: Sequence[str], answers: Sequence[str]) -> bool:
    """Whether nobody but this computer has a say: then peers may be on its loopback addresses."""
    addresses = {*offers, *answers}
    hosts = {urlsplit(address).hostname or "" for address in addresses - {OWN, "-"}}
    return all(is_loopback(one) for one in hosts | ({host} if OWN in addresses else set()))


def _ice_servers(options: argparse.Namespace) -> tuple[RTCIceServer, ...]:
    """What this peer uses itself."""
    configuration = IceConfiguration(tuple(options.ice_server), options.turn_secret)
    return tuple(
        RTCIceServer(server.urls, server.username, server.credential)
        for server in configuration.servers("peer", time.time())
    )


def _wanted(options: argparse.Namespace, config: Config) -> Wanted:
    """:raises ValueError, TypeError: for constraints that make no sense."""
    nothing = (options.video, options.audio, options.screen) == ("none", "none", None)
    if nothing and not options.file:
        raise ValueError(
            "nothing to publish: --video and --audio are none, and no --screen or --file"
        )
    return Wanted(
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


_EXAMPLES = """\
examples:
  python -m peer                                   publish, and print the address to watch at
  python -m peer --host 0.0.0.0 --tls              the same, for others on the network
  python -m peer --offer wss://host/ --token T     publish through a server elsewhere
  python -m peer --offer https://sfu/whip/room     publish to an SFU
  python -m peer --answer ADDRESS --record out.mp4 record what is published elsewhere
  python -m peer --answer --record out.mp4         record what others send to this computer

Ctrl-C ends it: the tracks end, and the devices are released.
"""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m peer",
        usage="%(prog)s [options]",
        description="Publishes this computer's camera, microphone or screen to web browsers, and "
        "receives what others send.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument_group("where to").add_argument
    add(
        "--offer",
        nargs="?",
        const=OWN,
        action="append",
        default=[],
        metavar="URL",
        help="publish (the default): through a signalling server of our own, or one elsewhere "
        "(ws://…, wss://…, or the address that it prints), to a WHIP endpoint (https://…), or by "
        "copy and paste (-); may be repeated",
    )
    add(
        "--answer",
        nargs="?",
        const=OWN,
        action="append",
        default=[],
        metavar="URL",
        help="receive: what others send to a server of our own, or from the same kinds of places, "
        "https://… being WHEP; may be repeated",
    )
    add(
        "--record",
        type=Path,
        metavar="FILE",
        help="with --answer: keep what is received, as .mp4, .mkv, .webm, .ogg or .wav",
    )
    add(
        "--trust",
        type=_trust,
        metavar="CERT",
        help="what servers elsewhere must have: the certificate of this SHA-256 fingerprint, which "
        "servers with one of their own print, or one that this file vouches for",
    )
    add(
        "--name",
        type=_name,
        help="what others call this peer (default: camera, screen, … by what it publishes)",
    )
    add(
        "--watch",
        default=ANY_PRODUCER,
        metavar="NAME",
        help="with --answer at a signalling server: whom (default: whoever is there)",
    )
    add("--room", metavar="NAME", help="where to meet others at a signalling server")

    add = parser.add_argument_group("what").add_argument
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
        "--codecs",
        type=_codecs,
        default=(),
        metavar="NAMES",
        help="video codecs to send, best first: VP8,H264,VP9,AV1",
    )
    add(
        "--hardware",
        type=_encoders,
        default=(),
        metavar="NAMES",
        help=f"encoders in hardware to try first, by FFmpeg's names: {', '.join(HARDWARE)}",
    )
    add(
        "--dtx",
        action="store_true",
        help="send next to nothing while a microphone is silent, to everybody and not only to "
        "those who ask for it (usedtx)",
    )

    own = parser.add_argument_group("a server of our own")
    add = own.add_argument
    add(
        "--host",
        default="127.0.0.1",
        help="the address to serve on (default: %(default)s, which no other computer reaches; "
        "0.0.0.0 is all)",
    )
    add("--port", type=_port, default=8080, help="0 for any free one (default: %(default)s)")
    add(
        "--tls",
        nargs="?",
        const=(),
        type=_certificate_and_key,
        metavar="CERT,KEY",
        help="serve over TLS, with a certificate of our own or with these files",
    )
    protection = own.add_mutually_exclusive_group()
    protection.add_argument(
        "--token",
        type=_shown_token,
        help="what viewers must show (default: random); servers elsewhere are shown it, too",
    )
    protection.add_argument(
        "--no-auth", action="store_true", help="let anybody watch, and send with --answer"
    )
    add(
        "--control-token",
        type=_token,
        metavar="TOKEN",
        help="what viewers must show who may control the camera (default: random)",
    )
    add(
        "--publish-token",
        type=_token,
        metavar="TOKEN",
        help="with --answer: what others must show who send to it (default: random)",
    )
    add("--metrics", action="store_true", help="serve /metrics for Prometheus")

    add = parser.add_argument_group("ways through the network").add_argument
    add(
        "--ice-server",
        type=_ice_server,
        action="append",
        default=[],
        metavar="URL",
        help="stun:HOST:PORT or turn:HOST:PORT?transport=udp,USER,PASSWORD; may be repeated",
    )
    add(
        "--turn-secret",
        metavar="SECRET",
        help="what TURN servers without an account share with us (coturn's static-auth-secret)",
    )

    add = parser.add_argument_group("other").add_argument
    add("--config", type=Path, metavar="FILE", help="a peer.toml; options count for more")
    add("--devices", action="store_true", help="list the devices, and exit")
    add("--doctor", action="store_true", help="say what is in the way of publishing, and exit")
    add("--json", action="store_true", help="with --devices or --doctor: as JSON")
    add("-v", "--verbose", action="count", default=0, help="say more; twice, everything")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _ice_server(text: str) -> IceServer:
    try:
        return parse_ice_server(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _certificate_and_key(text: str) -> tuple[Path, Path]:
    try:
        return parse_certificate_and_key(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _trust(text: str) -> Trust:
    try:
        return parse_trust(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name: up to 32 letters, digits, hyphens, dots and underscores"
        )
    return text


def _codecs(text: str) -> tuple[str, ...]:
    known = {codec.name.upper(): codec.name for codec in sendable_codecs("video")}
    names = [name.strip().upper() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{unknown[0]!r} can't be sent; there are {', '.join(known.values())}"
        )
    return tuple(known[name] for name in names)


def _encoders(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in HARDWARE:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no encoder in hardware; there are {', '.join(HARDWARE)}"
            )
        if name not in av.codecs_available:
            raise argparse.ArgumentTypeError(
                f"{name} is not in this FFmpeg (PyAV {av.__version__})"
            )
    return names


def _token(text: str) -> str:
    try:
        _check_token(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _check_token(text: str) -> None:
    """:raises ValueError: it could be guessed, or not stand in an address."""
    if len(text) < 16 or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise ValueError("a token has at least 16 letters, digits, hyphens or underscores")


def _shown_token(text: str) -> str:
    # Servers elsewhere have tokens of all kinds.
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError("a token has printable ASCII only, and no spaces")
    return text
