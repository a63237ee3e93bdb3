"""Constraints as a person types them: `1280x720@30,facingMode=environment`, or JSON."""

import json
import re
from typing import Any

_SIZE = re.compile(
    r"(?P<width>\d+)x(?P<height>\d+)(?:@(?P<rate>\d+(?:\.\d+)?))?|@(?P<only>\d+(?:\.\d+)?)"
)
_EXAMPLE = 'for example 1280x720@30,facingMode=environment or \'{"width": {"min": 1280}}\''


def parse_shorthand(text: str) -> dict[str, Any] | bool:
    """What `getUserMedia()` takes for one kind: constraints, True for `on`, False for `none`.

    A size or rate is what the user would like (ideal); JSON can say what must be.

    :raises ValueError: the text is neither form; the message says what is wrong with it.
    """
    text = text.strip()
    if text in ("on", ""):
        return True
    if text in ("none", "off"):
        return False
    if text.startswith("{"):
        return _from_json(text)
    constraints: dict[str, Any] = {}
    for part in text.split(","):
        if size := _SIZE.fullmatch(part.strip()):
            if size["width"]:
                constraints |= {"width": int(size["width"]), "height": int(size["height"])}
            if rate := size["rate"] or size["only"]:
                constraints["frameRate"] = float(rate)
            continue
        name, equals, value = part.strip().partition("=")
        if not (equals and name.isidentifier() and value):
            raise ValueError(f"{part!r} is no constraint: write {_EXAMPLE}")
        constraints[name] = _value(value)
    return constraints


def _from_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{text!r} is not JSON ({error}): write {_EXAMPLE}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{text!r} is no JSON object: write {_EXAMPLE}")
    return value


def _value(text: str) -> str | float | bool:
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
