"""The fields of a JSON object that a stranger sent, each read with its type (pure)."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

MAX_NAME = 256
"""Characters of an id, of a room's name, of a detail."""
MAX_DEPTH = 16
"""Levels of an object of any content: far below what exhausts the stack of whoever writes it."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)


class MessageInvalid(ValueError):
    """A message is not of the protocol; the text is for its sender."""


class Fields:
    """The fields of a JSON object, each read with its type."""

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise MessageInvalid(f"{what} must be an object")
        self._fields: dict[str, Any] = value
        self._what = what

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str, limit: int | None = MAX_NAME) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        if limit is not None and len(value) > limit:
            raise self._wrong(name, f"at most {limit} characters long")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self._wrong(name, "of whole characters") from None
        return value

    def number(self, name: str) -> int:
        value = self._fields.get(name)
        if type(value) is not int or not 0 <= value < 2**32:
            raise self._wrong(name, "a whole number")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._fields.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def one_of(self, name: str, options: type[_E]) -> _E:
        try:
            return options(self.text(name))
        except ValueError:
            raise self._wrong(name, f"one of {', '.join(options)}") from None

    def all_of(self, name: str, options: type[_E]) -> frozenset[_E]:
        """A list without repetition or order."""
        value = self._fields.get(name)
        known = list(options)
        if not isinstance(value, list) or not all(item in known for item in value):
            raise self._wrong(name, f"a list of {', '.join(options)}")
        return frozenset(options(item) for item in value)

    def json(self, name: str) -> Mapping[str, Any]:
        """An object of any content; empty where the field is missing or null."""
        value = self._fields.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        _check_json(value, MAX_DEPTH)
        return value

    def each(self, name: str, read: Callable[["Fields"], _T]) -> tuple[_T, ...]:
        value = self._fields.get(name, [])
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return tuple(read(Fields(item, name)) for item in value)

    def object(self, name: str) -> "Fields":
        return Fields(self._fields.get(name), f"{self._what}'s {name}")

    def optional(self, name: str, read: Callable[[str], _T]) -> _T | None:
        return read(name) if name in self else None

    def _wrong(self, name: str, wanted: str) -> MessageInvalid:
        return MessageInvalid(f"{self._what}'s {name} must be {wanted}")


def _check_json(value: object, depth: int) -> None:
    """Takes what can be written out again, and only that."""
    if depth == 0:
        raise MessageInvalid(f"an object must have at most {MAX_DEPTH} levels")
    if isinstance(value, float) and not math.isfinite(value):
        raise MessageInvalid("numbers must be finite")
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    for child in children:
        _check_json(child, depth - 1)
