"""peer.toml: what is to be published, where, and what cameras don't say of themselves."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from .constraints.types import FacingMode

Constraints = str | Mapping[str, Any]


MAX_PORT = 65535


class ConfigError(Exception):
    """A configuration file can't be used; the message names the file, the key and what is wrong."""


@dataclass(frozen=True)
class CameraConfig:
    """What is known of one camera: `[[camera]]`. It is named by its label or its deviceId."""

    facingMode: FacingMode
    """Which way it faces; counts for more than what the camera says."""
    label: str | None = None
    deviceId: str | None = None
    """As `--devices` prints it."""


@dataclass(frozen=True)
class Config:
    """The contents of a configuration file. Each key means what the option of its name does."""

    video: Constraints | None = None
    """As after `--video`, or as a table of constraints."""
    audio: Constraints | None = None
    screen: Constraints | None = None
    file: tuple[str, ...] | None = None
    loop: bool | None = None
    fake: bool | None = None
    offer: tuple[str, ...] | None = None
    answer: tuple[str, ...] | None = None
    record: str | None = None
    name: str | None = None
    watch: str | None = None
    room: str | None = None
    codecs: str | None = None
    host: str | None = None
    port: int | None = None
    token: str | None = None
    control_token: str | None = None
    publish_token: str | None = None
    ice_server: tuple[str, ...] | None = None
    turn_secret: str | None = None
    metrics: bool | None = None
    no_auth: bool | None = None
    no_resume: bool | None = None
    camera: tuple[CameraConfig, ...] = ()

    def options(self) -> dict[str, Any]:
        """What is given of the command line's options, by their names."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "camera"}
        options = {name: value for name, value in given.items() if value is not None}
        for name in _LISTS & options.keys():
            options[name] = list(options[name])
        return options

    def facing_modes(self) -> dict[str, FacingMode]:
        """Which way cameras face, by label or deviceId."""
        return {
            name: camera.facingMode
            for camera in self.camera
            for name in (camera.label, camera.deviceId)
            if name is not None
        }


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "video": ((str, dict), "text or a table of constraints"),
    "audio": ((str, dict), "text or a table of constraints"),
    "screen": ((str, dict), "text or a table of constraints"),
    "file": ((list,), "a list of texts"),
    "loop": ((bool,), "true or false"),
    "fake": ((bool,), "true or false"),
    "offer": ((list,), "a list of texts"),
    "answer": ((list,), "a list of texts"),
    "record": ((str,), "text"),
    "name": ((str,), "text"),
    "watch": ((str,), "text"),
    "room": ((str,), "text"),
    "codecs": ((str,), "text"),
    "host": ((str,), "text"),
    "port": ((int,), "a number"),
    "token": ((str,), "text"),
    "control_token": ((str,), "text"),
    "publish_token": ((str,), "text"),
    "ice_server": ((list,), "a list of texts"),
    "turn_secret": ((str,), "text"),
    "metrics": ((bool,), "true or false"),
    "no_auth": ((bool,), "true or false"),
    "no_resume": ((bool,), "true or false"),
    "camera": ((list,), "tables, each as [[camera]]"),
}


_LISTS = {"file", "offer", "answer", "ice_server"}


def load_config(path: Path) -> Config:
    """Read a configuration file. Blocks.

    :raises ConfigError: it can't be read, is not TOML, or has a key or value that means nothing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{path} can't be read: {reason}") from error
    try:
        return parse_config(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_config(text: str) -> Config:
    """The configuration in a text.

    :raises ConfigError: naming the key and what would be right.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error)) from error
    for key, value in values.items():
        if key not in _TYPES:
            raise ConfigError(f"there is no key {key}, only {', '.join(_TYPES)}")
        types, wanted = _TYPES[key]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ConfigError(f"{key} must be {wanted}, not {value!r}")
    for name in _LISTS & values.keys():
        if not all(isinstance(one, str) for one in values[name]):
            raise ConfigError(f"{name} must be a list of texts, not {values[name]!r}")
        values[name] = tuple(values[name])
    if not 0 <= values.get("port", 0) <= MAX_PORT:
        raise ConfigError(f"port must be 0 to {MAX_PORT}, not {values['port']}")
    values["camera"] = tuple(_camera(camera) for camera in values.get("camera", []))
    return Config(**values)


def _camera(table: object) -> CameraConfig:
    known = [field.name for field in fields(CameraConfig)]
    if not isinstance(table, dict) or not set(table) <= set(known):
        raise ConfigError(f"a [[camera]] has the keys {', '.join(known)}, not {table!r}")
    if not {"label", "deviceId"} & set(table):
        raise ConfigError("a [[camera]] is named by its label or its deviceId")
    for name in ("label", "deviceId"):
        if not isinstance(table.get(name, ""), str):
            raise ConfigError(f"{name} must be text, not {table[name]!r}")
    facing, possible = table.get("facingMode"), get_args(FacingMode)
    if facing not in possible:
        raise ConfigError(f"facingMode is one of {', '.join(possible)}, not {facing!r}")
    return CameraConfig(**table)
