"""libopus itself, the one that PyAV brings: FFmpeg has no option for its pauses."""

import ctypes
import ctypes.util
import logging
import weakref
from ctypes import POINTER, c_char_p, c_int, c_int32, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import av

logger = logging.getLogger(__name__)

_PLACES = ("av.libs/*opus*", "av/.dylibs/*opus*")
"""Of PyAV's wheels: on Linux and Windows, on macOS."""
_APPLICATION_VOIP = 2048
_SET_BITRATE, _SET_INBAND_FEC, _SET_PACKET_LOSS_PERC, _SET_DTX = 4002, 4012, 4014, 4016
_LARGEST_PACKET = 1275
"""Octets: RFC 6716 3.4."""


@cache
def _library() -> Any:
    """What to call; None when there is no libopus, or none that can be loaded."""
    beside = Path(av.__file__).parent.parent
    found = [str(path) for place in _PLACES for path in beside.glob(place)]
    name = next(iter(found), None) or ctypes.util.find_library("opus")
    try:
        library = ctypes.CDLL(name) if name else None
    except OSError as error:
        logger.debug("libopus can't be loaded: %s", error)
        return None
    if library is not None:
        library.opus_encoder_create.restype = c_void_p
        library.opus_encoder_create.argtypes = [c_int32, c_int, c_int, POINTER(c_int)]
        # Its other argument is a variadic one, which isn't passed as others are everywhere.
        library.opus_encoder_ctl.argtypes = [c_void_p, c_int]
        library.opus_encode.argtypes = [c_void_p, c_char_p, c_int, c_char_p, c_int32]
        library.opus_encoder_destroy.argtypes = [c_void_p]
    return library


def available() -> bool:
    """Whether there is a libopus to use."""
    return _library() is not None


class SpeechEncoder:
    """Encodes speech, for lossy ways, and leaves pauses out: their packets have an octet or two.

    :param expected_loss: per cent of packets.
    :raises OSError: it can't be made.
    """

    def __init__(self, rate: int, channels: int, bitrate: int, expected_loss: int) -> None:
        library, self._channels = _library(), channels
        self._encoder = library.opus_encoder_create(rate, channels, _APPLICATION_VOIP, None)
        if not self._encoder:
            raise OSError(f"libopus has no encoder of {channels} channels at {rate}")
        weakref.finalize(self, library.opus_encoder_destroy, self._encoder)
        self._encode = library.opus_encode
        self._packet = ctypes.create_string_buffer(_LARGEST_PACKET)
        for request, value in (
            (_SET_BITRATE, bitrate),
            (_SET_INBAND_FEC, 1),
            (_SET_PACKET_LOSS_PERC, expected_loss),
            (_SET_DTX, 1),
        ):
            if library.opus_encoder_ctl(self._encoder, request, c_int32(value)) < 0:
                raise OSError(f"libopus refuses {value} for its setting {request}")

    def encode(self, frame: av.AudioFrame) -> list[bytes]:
        """The packet of a frame of packed s16.

        :raises OSError: it can't be encoded.
        """
        samples = frame.samples
        octets = bytes(frame.planes[0])[: samples * self._channels * 2]
        size = self._encode(self._encoder, octets, samples, self._packet, _LARGEST_PACKET)
        if size < 0:
            raise OSError(f"libopus can't encode {samples} samples: error {size}")
        return [self._packet.raw[:size]]
