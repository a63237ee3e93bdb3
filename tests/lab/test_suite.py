"""The suite of the virtual devices on kernel devices: the very same tests, with other devices.

Left out are those that read the virtual cameras' barcode, name their labels, need a screen, or
unplug by hand; `test_capture.py` has what the lab's devices show in their place.
"""
# ruff: noqa: F401 - pytest finds the imported tests and fixtures here

from collections.abc import AsyncIterator

import pytest

from peer import MediaDevices

from ..peer.capture.test_extensions import (
    test_a_track_that_must_have_its_mode_keeps_it,
    test_audio_stats,
    test_configurationchange_when_another_track_changes_the_mode,
    test_ids_can_be_wished_for_but_not_changed,
)
from ..peer.capture.test_get_user_media import (
    test_a_stream_of_exactly_one_track_of_each_kind,
    test_enumerate_devices_opens_nothing_and_tells_little_before_capture,
    test_revoking_ends_the_tracks_that_need_it,
    test_type_errors_say_what_is_wrong,
)
from ..peer.capture.test_media_stream import (
    test_a_stream_is_a_set_of_tracks,
    test_active_follows_the_tracks,
    test_clone,
    test_construction,
    test_track_events,
)
from ..peer.capture.test_media_stream_track import (
    camera,
    microphone,
    test_a_clone_of_an_ended_track_is_ended,
    test_a_larger_track_of_the_same_camera_does_not_disturb_the_first,
    test_apply_constraints_after_the_end_does_nothing,
    test_apply_constraints_calls_take_effect_in_order,
    test_apply_constraints_replaces_and_switches_the_mode,
    test_apply_constraints_that_fails_changes_nothing,
    test_attributes_are_read_only_but_enabled,
    test_clone_has_an_id_and_settings_of_its_own,
    test_disabled_is_silent,
    test_sound_is_resampled_to_the_settings,
    test_stop_is_silent_and_final,
    test_what_is_returned_is_a_copy,
)


@pytest.fixture
async def media_devices() -> AsyncIterator[MediaDevices]:
    """The lab's cameras and sound cards."""
    devices = MediaDevices(salt=bytes(32))
    yield devices
    devices.end()
    await devices.closed()
