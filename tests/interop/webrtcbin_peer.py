"""GStreamer's webrtcbin as a peer, in a process of its own: signalling is a line each way.

Run by the system's Python, which has GStreamer's bindings. On standard input come the messages of
a signalling server and on standard output go those to it, as they are on its WebSocket; an object
with `event` instead of `type` tells the test what was seen, the first that GStreamer is all there.

    webrtcbin_peer.py producer            sends VP8 and Opus to whoever asks: offers, or answers
    webrtcbin_peer.py producer PEER       sends them to a consumer, whether it asked or not
    webrtcbin_peer.py consumer            takes what others send to it
    webrtcbin_peer.py consumer PEER       asks a producer for a session, and answers its offer
    webrtcbin_peer.py offering PEER       the same, but makes the offer itself
"""

import base64
import json
import re
import sys
import threading
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import (  # type: ignore[import-not-found]  # noqa: E402
    GLib,
    Gst,
    GstSdp,
    GstWebRTC,
)

MEDIA = """
    webrtcbin name=rtc bundle-policy=max-bundle
    videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=30/1 ! videoconvert
        ! vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay pt={video}
        ! application/x-rtp,media=video,encoding-name=VP8,payload={video} ! rtc.
    audiotestsrc is-live=true wave=sine freq=440 ! audioconvert ! audioresample ! opusenc
        ! rtpopuspay pt={audio}
        ! application/x-rtp,media=audio,encoding-name=OPUS,payload={audio} ! rtc.
"""
DECODERS = {
    "VP8": "rtpvp8depay ! vp8dec ! videoconvert ! video/x-raw,format=I420",
    "H264": "rtph264depay ! h264parse ! openh264dec ! videoconvert ! video/x-raw,format=I420",
    "OPUS": "rtpopusdepay ! opusdec",
}
WANTED = (
    "application/x-rtp,media=video,encoding-name=H264,payload=102,clock-rate=90000,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f",
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,"
    "encoding-params=(string)2",
)


_saying = threading.Lock()


def say(**message: Any) -> None:
    """Print a line, from whichever of GStreamer's threads."""
    with _saying:
        print(json.dumps(message), flush=True)


def sending(offer: str | None) -> Any:
    """What is sent, in the payload types of an offer."""
    types = {"video": "96", "audio": "97"}
    if offer is not None:
        for kind, codec in [("video", "VP8/90000"), ("audio", "opus/48000")]:
            found = re.search(rf"a=rtpmap:(\d+) {codec}", offer)
            types[kind] = found[1] if found else types[kind]
    return Gst.parse_launch(MEDIA.format(**types))


def receiving() -> Any:
    pipeline = Gst.Pipeline()
    pipeline.add(Gst.ElementFactory.make("webrtcbin", "rtc"))
    pipeline.get_by_name("rtc").set_property(
        "bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE
    )
    return pipeline


class Session:
    """One webrtcbin, and what is said about it."""

    def __init__(self, pipeline: Any, session_id: str | None) -> None:
        self.id = session_id
        self.pipeline = pipeline
        self.rtc = pipeline.get_by_name("rtc")
        self.rtc.connect("on-ice-candidate", self._on_candidate)
        self.rtc.connect("pad-added", self._on_pad)
        self.rtc.connect("notify::connection-state", self._on_state)
        self._unsaid: list[dict[str, Any]] = []
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: say(event=f"{message.parse_error()}"))

    def play(self) -> None:
        self.pipeline.set_state(Gst.State.PLAYING)

    def begin(self, session_id: str) -> None:
        """The session has a name: candidates can be told."""
        self.id = session_id
        for message in self._unsaid:
            say(type="peer", sessionId=session_id, **message)

    def offer(self, tell: Any) -> None:
        """Make an offer, once what it sends is known."""

        def created(promise: Any, _: None) -> None:
            reply = promise.get_reply()  # owns the description
            offer = reply.get_value("offer")
            text = offer.sdp.as_text()
            self.rtc.emit("set-local-description", offer, Gst.Promise.new())
            tell(text)

        def needed(_: Any) -> None:
            self.rtc.disconnect(handler)
            change = Gst.Promise.new_with_change_func(created, None)
            self.rtc.emit("create-offer", None, change)

        handler = self.rtc.connect("on-negotiation-needed", needed)

    def hear(self, kind: str, text: str) -> None:
        """Take a description, and answer an offer."""
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        types = {"offer": GstWebRTC.WebRTCSDPType.OFFER, "answer": GstWebRTC.WebRTCSDPType.ANSWER}
        description = GstWebRTC.WebRTCSessionDescription.new(types[kind], sdp)

        def created(promise: Any, _: None) -> None:
            reply = promise.get_reply()
            answer = reply.get_value("answer")
            text = answer.sdp.as_text()
            self.rtc.emit("set-local-description", answer, Gst.Promise.new())
            self._tell(sdp={"type": "answer", "sdp": text})

        def heard(promise: Any, _: None) -> None:
            if kind == "offer":
                change = Gst.Promise.new_with_change_func(created, None)
                self.rtc.emit("create-answer", None, change)

        change = Gst.Promise.new_with_change_func(heard, None)
        self.rtc.emit("set-remote-description", description, change)

    def end(self) -> None:
        self.pipeline.set_state(Gst.State.NULL)
        say(event="session ended")

    def _tell(self, **message: Any) -> None:
        if self.id is None:
            self._unsaid.append(message)
        else:
            say(type="peer", sessionId=self.id, **message)

    def _on_candidate(self, _: Any, index: int, candidate: str) -> None:
        self._tell(ice={"candidate": candidate, "sdpMLineIndex": index})

    def _on_state(self, rtc: Any, _: Any) -> None:
        say(event=f"connection {rtc.get_property('connection-state').value_nick}")

    def _on_pad(self, _: Any, pad: Any) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        caps = pad.get_current_caps().get_structure(0)
        codec = caps.get_string("encoding-name")
        decode = Gst.parse_bin_from_description(
            f"{DECODERS[codec]} ! appsink name=sink emit-signals=true sync=false", True
        )
        sink = decode.get_by_name("sink")
        sink.connect("new-sample", self._on_sound if codec == "OPUS" else self._on_picture)
        self.pipeline.add(decode)
        decode.sync_state_with_parent()
        pad.link(decode.get_static_pad("sink"))
        say(event=f"track {codec}")

    def _on_picture(self, sink: Any) -> Any:
        sample = sink.emit("pull-sample")
        caps = sample.get_caps().get_structure(0)
        width, height = caps.get_value("width"), caps.get_value("height")
        stride = -(-width // 4) * 4
        rows = 2 * -(-width // 40)  # those of the barcode
        top = sample.get_buffer().extract_dup(0, rows * stride)
        say(
            event="picture", width=width, height=height, stride=stride,
            top=base64.b64encode(top).decode(),
        )  # fmt: skip
        return Gst.FlowReturn.OK

    def _on_sound(self, sink: Any) -> Any:
        sink.emit("pull-sample")
        say(event="sound")
        return Gst.FlowReturn.OK


class Peer:
    """What is done about the server's messages."""

    def __init__(self, role: str, other: str | None) -> None:
        self.id = ""
        self.role = role
        self.other = other
        self.sessions: dict[str, Session] = {}
        self.pending: Session | None = None

    def hear(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "welcome" if self.role == "producer":
                self.id = message["peerId"]
                say(
                    type="setPeerStatus", roles=["producer", "listener"], meta={"name": "webrtcbin"}
                )
            case "peerStatusChanged" if message["peerId"] == self.id:
                say(event="registered")
                if self.role == "producer" and self.other is not None:
                    say(type="startSession", peerId=self.other)
            case "welcome":
                self.id = message["peerId"]
                say(type="setPeerStatus", roles=["consumer", "listener"], meta={})
                if self.other is not None:
                    self._ask()
            case "startSession":
                offer = message.get("offer")
                session = Session(sending(offer), message["sessionId"])
                self.sessions[message["sessionId"]] = session
                if offer is None:
                    session.offer(lambda sdp: session._tell(sdp={"type": "offer", "sdp": sdp}))
                session.play()
                if offer is not None:
                    session.hear("offer", offer)
            case "sessionStarted":
                session = self.pending or Session(receiving(), None)
                session.play()
                self.sessions[message["sessionId"]] = session
                session.begin(message["sessionId"])
            case "peer":
                session = self.sessions[message["sessionId"]]
                if (sdp := message.get("sdp")) is not None:
                    session.hear(sdp["type"], sdp["sdp"])
                else:
                    ice = message["ice"]
                    session.rtc.emit("add-ice-candidate", ice["sdpMLineIndex"], ice["candidate"])
            case "endSession":
                self.sessions.pop(message["sessionId"]).end()
            case "error":
                say(event=f"error: {message['details']}")

    def _ask(self) -> None:
        if self.role == "consumer":
            say(type="startSession", peerId=self.other)
            return
        self.pending = Session(receiving(), None)
        for caps in WANTED:
            self.pending.rtc.emit(
                "add-transceiver",
                GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY,
                Gst.Caps.from_string(caps),
            )
        self.pending.offer(lambda sdp: say(type="startSession", peerId=self.other, offer=sdp))
        self.pending.play()


def main() -> int:
    Gst.init(None)
    wanted = ("webrtcbin", "nicesrc", "vp8enc", "vp8dec", "openh264dec", "opusenc", "opusdec")
    if not all(Gst.ElementFactory.find(name) for name in wanted):
        return 1
    say(event="ready")
    peer = Peer(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    loop = GLib.MainLoop()

    def read() -> None:
        for line in sys.stdin:
            GLib.idle_add(peer.hear, json.loads(line))
        GLib.idle_add(loop.quit)

    threading.Thread(target=read, daemon=True).start()
    loop.run()
    for session in peer.sessions.values():
        session.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
