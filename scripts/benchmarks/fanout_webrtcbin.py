"""GStreamer's publisher for the fan-out benchmark: one encoder, a tee, and a webrtcbin a viewer.

Run by the system's Python, which has GStreamer's bindings; it speaks as fanout_publisher.py does.
"""

import json
import resource
import sys
import threading
from typing import Any

BITRATE = 2_000_000
OPEN_FILES = 1 << 14
ELEMENTS = ("webrtcbin", "nicesrc", "vp8enc", "rtpvp8pay", "opusenc", "rtpopuspay", "dtlsenc")
CAPS = {
    "video": "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000",
    "audio": "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,"
    "encoding-params=(string)2",
}
# Bars that move, and noise beside them, cost as many bits as the encoder may spend.
MEDIA = f"""
    videotestsrc is-live=true horizontal-speed=4
        ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert
        ! vp8enc deadline=1 cpu-used=8 end-usage=cbr target-bitrate={BITRATE}
          keyframe-max-dist=100000 error-resilient=default
        ! rtpvp8pay pt=96 picture-id-mode=15-bit mtu=1200
        ! tee name=video allow-not-linked=true
    audiotestsrc is-live=true wave=sine freq=440 ! audio/x-raw,rate=48000,channels=2 ! audioconvert
        ! opusenc ! rtpopuspay pt=111 ! tee name=audio allow-not-linked=true
"""


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


try:
    import gi  # type: ignore[import-not-found]

    for namespace in ("Gst", "GstSdp", "GstWebRTC"):
        gi.require_version(namespace, "1.0")
    from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # type: ignore[import-not-found]
except (ImportError, ValueError) as error:
    say(missing=str(error))
    sys.exit()


class Viewer:
    """One webrtcbin on the tees."""

    def __init__(self, pipeline: Any) -> None:
        self._rtc = Gst.ElementFactory.make("webrtcbin")
        self._rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self._rtc.connect("notify::ice-gathering-state", self._gathered)
        pipeline.add(self._rtc)
        self._rtc.sync_state_with_parent()
        for index, (kind, caps) in enumerate(CAPS.items()):
            queue = Gst.ElementFactory.make("queue")
            pipeline.add(queue)
            queue.link(self._rtc)
            queue.sync_state_with_parent()
            # What is sent is known to the pad once a packet has come, and to the offer at once.
            transceiver = self._rtc.emit("get-transceiver", index)
            transceiver.set_property("codec-preferences", Gst.Caps.from_string(caps))
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
            transceiver.set_property("do-nack", kind == "video")
            pipeline.get_by_name(kind).link(queue)
        created = Gst.Promise.new_with_change_func(self._offered, None)
        self._rtc.emit("create-offer", None, created)

    def answer(self, sdp: str) -> None:
        _, message = GstSdp.SDPMessage.new_from_text(sdp)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self._rtc.emit("set-remote-description", answer, Gst.Promise.new())

    def _offered(self, promise: Any, _: None) -> None:
        reply = promise.get_reply()  # owns the description
        self._rtc.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def _gathered(self, rtc: Any, _: Any) -> None:
        if rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            sdp = rtc.get_property("local-description").sdp.as_text()
            # Its certificate is one of RSA, which aiortc as a client does not take.
            say(offer=sdp.replace("a=setup:actpass", "a=setup:active"))


def main() -> None:
    Gst.init(None)
    missing = [name for name in ELEMENTS if not Gst.ElementFactory.find(name)]
    if missing:
        say(missing=f"no {', '.join(missing)} in GStreamer's plugins")
        return
    pipeline = Gst.parse_launch(MEDIA)
    loop = GLib.MainLoop()
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: sys.exit(f"{message.parse_error()}"))
    pipeline.set_state(Gst.State.PLAYING)
    say(ready=True)
    viewers: list[Viewer] = []

    def hear(message: dict[str, Any]) -> None:
        if "answer" in message:
            viewers[-1].answer(message["answer"])
        else:
            viewers.append(Viewer(pipeline))

    def read() -> None:
        for line in sys.stdin:
            GLib.idle_add(hear, json.loads(line))
        GLib.idle_add(loop.quit)

    threading.Thread(target=read, daemon=True).start()
    loop.run()
    pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    main()
