"""peer.toml: what it may say, and what is said of what it may not."""

from pathlib import Path

import pytest

from peer.config import CameraConfig, Config, ConfigError, load_config, parse_config

EVERYTHING = """
video = "1280x720@30"
audio = { channelCount = 1 }
screen = ""
file = ["door.mp4", "rtsp://camera.example/stream"]
loop = true
fake = false
offer = ["wss://host.example/", "https://sfu.example/whip/room"]
answer = ["https://host.example/whep/camera"]
record = "out.mp4"
name = "door"
watch = "gate"
room = "yard"
codecs = "H264,VP8"
ice_server = ["stun:stun.example:3478"]
turn_secret = "secret"
publish_token = "fedcba9876543210"
metrics = true
host = "0.0.0.0"
port = 8443
token = "0123456789abcdef"
no_auth = false
no_resume = true

[[camera]]
label = "HD Webcam C525"
facingMode = "environment"

[[camera]]
deviceId = "abc"
facingMode = "user"
"""


def test_everything_that_can_be_said() -> None:
    config = parse_config(EVERYTHING)
    assert config == Config(
        video="1280x720@30",
        audio={"channelCount": 1},
        screen="",
        file=("door.mp4", "rtsp://camera.example/stream"),
        loop=True,
        fake=False,
        offer=("wss://host.example/", "https://sfu.example/whip/room"),
        answer=("https://host.example/whep/camera",),
        record="out.mp4",
        name="door",
        watch="gate",
        room="yard",
        codecs="H264,VP8",
        ice_server=("stun:stun.example:3478",),
        turn_secret="secret",
        publish_token="fedcba9876543210",
        metrics=True,
        host="0.0.0.0",
        port=8443,
        token="0123456789abcdef",
        no_auth=False,
        no_resume=True,
        camera=(
            CameraConfig("environment", label="HD Webcam C525"),
            CameraConfig("user", deviceId="abc"),
        ),
    )
    assert config.facing_modes() == {"HD Webcam C525": "environment", "abc": "user"}


def test_only_what_is_said_is_an_option() -> None:
    assert parse_config("").options() == {}
    assert parse_config('port = 1\nfile = ["a"]').options() == {"port": 1, "file": ["a"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "there is no key colour, only video, audio"),
        ("port = 'http'", "port must be a number, not 'http'"),
        ("port = true", "port must be a number, not True"),
        ("port = 70000", "port must be 0 to 65535, not 70000"),
        ("loop = 1", "loop must be true or false, not 1"),
        ("file = 'a.mp4'", "file must be a list of texts, not 'a.mp4'"),
        ("file = [1]", r"file must be a list of texts, not \[1\]"),
        ("camera = 1", r"camera must be tables, each as \[\[camera\]\]"),
        ("camera = [1]", r"a \[\[camera\]\] has the keys facingMode, label, deviceId, not 1"),
        ("[[camera]]\nname = 'x'", r"a \[\[camera\]\] has the keys"),
        ("[[camera]]\nfacingMode = 'user'", "named by its label or its deviceId"),
        ("[[camera]]\nlabel = 'x'", "facingMode is one of user, environment, left, right"),
        ("[[camera]]\nlabel = 1\nfacingMode = 'user'", "label must be text, not 1"),
        ("port =", "Invalid value"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text)


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "peer.toml"
    with pytest.raises(ConfigError, match=r"peer.toml can't be read: No such file"):
        load_config(path)
    path.write_text("colour = 1")
    with pytest.raises(ConfigError, match=r"peer.toml: there is no key colour"):
        load_config(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"peer.toml can't be read: it is not UTF-8"):
        load_config(path)
