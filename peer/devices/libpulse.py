"""The C library of PulseAudio: the functions, structures and constants that recording needs.

It is on every system where PulseAudio or PipeWire's replacement of it is used. See `introspect.h`,
`stream.h` and `def.h` of libpulse 1.0 and later, whose layouts are fixed.
"""

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache

LIBRARY = "libpulse.so.0"

NO_AUTOSPAWN = 1  # pa_context_flags
CONTEXT_READY, CONTEXT_FAILED = 4, 5  # pa_context_state
STREAM_READY, STREAM_FAILED = 2, 3  # pa_stream_state
OPERATION_RUNNING = 0  # pa_operation_state
SAMPLES_S16LE = 3  # pa_sample_format
SERVER_DECIDES = 0xFFFFFFFF

STREAM_START_CORKED = 0x0001  # pa_stream_flags
STREAM_AUTO_TIMING_UPDATE = 0x0008
STREAM_DONT_MOVE = 0x0200
STREAM_ADJUST_LATENCY = 0x2000

ERROR_ACCESS, ERROR_NO_ENTITY, ERROR_REFUSED, ERROR_TIMEOUT = 1, 5, 6, 8  # pa_error_code
ERROR_KILLED, ERROR_BUSY = 12, 26

EVENTS_SOURCE, EVENTS_SOURCE_OUTPUT, EVENTS_SERVER = 0x02, 0x08, 0x80  # pa_subscription_mask


class SampleSpec(ctypes.Structure):
    _fields_ = (("format", c_int), ("rate", c_uint32), ("channels", c_uint8))


class ChannelMap(ctypes.Structure):
    _fields_ = (("channels", c_uint8), ("map", c_int * 32))


class Volumes(ctypes.Structure):
    _fields_ = (("channels", c_uint8), ("values", c_uint32 * 32))


class BufferAttributes(ctypes.Structure):
    _fields_ = tuple(
        (name, c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize")
    )


class ServerInfo(ctypes.Structure):
    """The beginning of `pa_server_info`."""

    _fields_ = (
        ("user_name", c_char_p),
        ("host_name", c_char_p),
        ("server_version", c_char_p),
        ("server_name", c_char_p),
        ("sample_spec", SampleSpec),
        ("default_sink_name", c_char_p),
        ("default_source_name", c_char_p),
    )


class SourceInfo(ctypes.Structure):
    """The beginning of `pa_source_info`."""

    _fields_ = (
        ("name", c_char_p),
        ("index", c_uint32),
        ("description", c_char_p),
        ("sample_spec", SampleSpec),
        ("channel_map", ChannelMap),
        ("owner_module", c_uint32),
        ("volume", Volumes),
        ("mute", c_int),
        ("monitor_of_sink", c_uint32),
        ("monitor_of_sink_name", c_char_p),
        ("latency", c_uint64),
        ("driver", c_char_p),
        ("flags", c_int),
        ("proplist", c_void_p),
    )


class SourceOutputInfo(ctypes.Structure):
    """The beginning of `pa_source_output_info`: a stream that records, as the server sees it."""

    _fields_ = (
        ("index", c_uint32),
        ("name", c_char_p),
        ("owner_module", c_uint32),
        ("client", c_uint32),
        ("source", c_uint32),
        ("sample_spec", SampleSpec),
        ("channel_map", ChannelMap),
        ("buffer_usec", c_uint64),
        ("source_usec", c_uint64),
        ("resample_method", c_char_p),
        ("driver", c_char_p),
        ("proplist", c_void_p),
        ("corked", c_int),
        ("volume", Volumes),
        ("mute", c_int),
    )


ServerCallback = ctypes.CFUNCTYPE(None, c_void_p, POINTER(ServerInfo), c_void_p)
SourceCallback = ctypes.CFUNCTYPE(None, c_void_p, POINTER(SourceInfo), c_int, c_void_p)
SourceOutputCallback = ctypes.CFUNCTYPE(None, c_void_p, POINTER(SourceOutputInfo), c_int, c_void_p)
EventCallback = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_uint32, c_void_p)
TimingCallback = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)

PROTOTYPES = {
    "pa_strerror": (c_char_p, c_int),
    "pa_proplist_gets": (c_char_p, c_void_p, c_char_p),
    "pa_mainloop_new": (c_void_p,),
    "pa_mainloop_get_api": (c_void_p, c_void_p),
    "pa_mainloop_prepare": (c_int, c_void_p, c_int),
    "pa_mainloop_poll": (c_int, c_void_p),
    "pa_mainloop_dispatch": (c_int, c_void_p),
    "pa_mainloop_wakeup": (None, c_void_p),
    "pa_mainloop_free": (None, c_void_p),
    "pa_operation_get_state": (c_int, c_void_p),
    "pa_operation_cancel": (None, c_void_p),
    "pa_operation_unref": (None, c_void_p),
    "pa_context_new": (c_void_p, c_void_p, c_char_p),
    "pa_context_connect": (c_int, c_void_p, c_char_p, c_int, c_void_p),
    "pa_context_get_state": (c_int, c_void_p),
    "pa_context_errno": (c_int, c_void_p),
    "pa_context_is_local": (c_int, c_void_p),
    "pa_context_disconnect": (None, c_void_p),
    "pa_context_unref": (None, c_void_p),
    "pa_context_get_server_info": (c_void_p, c_void_p, ServerCallback, c_void_p),
    "pa_context_get_source_info_list": (c_void_p, c_void_p, SourceCallback, c_void_p),
    "pa_context_get_source_info_by_name": (
        c_void_p,
        c_void_p,
        c_char_p,
        SourceCallback,
        c_void_p,
    ),
    "pa_context_get_source_output_info": (
        c_void_p,
        c_void_p,
        c_uint32,
        SourceOutputCallback,
        c_void_p,
    ),
    "pa_context_set_subscribe_callback": (None, c_void_p, EventCallback, c_void_p),
    "pa_context_subscribe": (c_void_p, c_void_p, c_int, c_void_p, c_void_p),
    "pa_stream_new": (c_void_p, c_void_p, c_char_p, POINTER(SampleSpec), c_void_p),
    "pa_stream_connect_record": (c_int, c_void_p, c_char_p, POINTER(BufferAttributes), c_int),
    "pa_stream_get_state": (c_int, c_void_p),
    "pa_stream_get_index": (c_uint32, c_void_p),
    "pa_stream_is_suspended": (c_int, c_void_p),
    "pa_stream_cork": (c_void_p, c_void_p, c_int, c_void_p, c_void_p),
    "pa_stream_readable_size": (c_size_t, c_void_p),
    "pa_stream_peek": (c_int, c_void_p, POINTER(c_void_p), POINTER(c_size_t)),
    "pa_stream_drop": (c_int, c_void_p),
    "pa_stream_get_latency": (c_int, c_void_p, POINTER(c_uint64), POINTER(c_int)),
    "pa_stream_set_latency_update_callback": (None, c_void_p, TimingCallback, c_void_p),
    "pa_stream_disconnect": (c_int, c_void_p),
    "pa_stream_unref": (None, c_void_p),
}


@cache
def library() -> ctypes.CDLL | None:
    """The library, its functions declared; None where it isn't installed."""
    try:
        pulse = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    for name, (result, *arguments) in PROTOTYPES.items():
        function = getattr(pulse, name)
        function.restype, function.argtypes = result, arguments
    return pulse
