"""getStats(): what a connection has to tell of itself (WebRTC statistics, WebRTC 8.6)."""

from aiortc import RTCDataChannel, RTCIceCandidate, RTCRtpCodecParameters
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from .aiortc_seam.sctp import ChannelCounts
from .bundle_transport import BundleTransport
from .rtc_rtp_receiver import RTCRtpReceiver
from .rtc_rtp_sender import RTCRtpSender
from .stats_report import RTCStatsReport, stats_id


class Statistics:
    """Gathers the report of one connection.

    :param transport: what all of it goes over.
    """

    def __init__(self, transport: BundleTransport) -> None:
        self._transport = transport
        self._id = stats_id("transport", id(transport))

    def add_connection(self, report: RTCStatsReport, opened: int, closed: int) -> None:
        """Add the connection's own object, with the numbers of its data channels."""
        report.add(
            "peer-connection",
            stats_id(self._id, "connection"),
            dataChannelsOpened=opened,
            dataChannelsClosed=closed,
        )

    def add_transport(self, report: RTCStatsReport) -> None:
        """Add the transport, its candidates and certificates."""
        ice, dtls = self._transport.ice, self._transport.dtls
        counted = ice.pair_statistics()
        local = {_name(one): self._add_candidate(report, "local", one) for one in ice.candidates}
        remote = {
            _name(one): self._add_candidate(report, "remote", one) for one in ice.remote_candidates
        }
        pair = None
        if (selected := ice.selected_pair) is not None:
            ours, theirs = selected
            for side, one, known in (("local", ours, local), ("remote", theirs, remote)):
                if _name(one) not in known:  # peer-reflexive: nobody told of it
                    known[_name(one)] = self._add_candidate(report, side, one)
            pair = report.add(
                "candidate-pair",
                stats_id(self._id, _name(ours), _name(theirs)),
                transportId=self._id,
                localCandidateId=local[_name(ours)],
                remoteCandidateId=remote[_name(theirs)],
                state="succeeded",
                nominated=True,
                bytesSent=counted.bytes_sent,
                bytesReceived=counted.bytes_received,
                packetsSent=counted.packets_sent,
                packetsReceived=counted.packets_received,
                requestsSent=counted.requests_sent,
                responsesReceived=counted.responses_received,
                totalRoundTripTime=counted.total_round_trip_time,
                currentRoundTripTime=counted.current_round_trip_time,
            )
        traffic = dtls.traffic
        report.add(
            "transport",
            self._id,
            bytesSent=traffic.bytes_sent,
            bytesReceived=traffic.bytes_received,
            packetsSent=traffic.packets_sent,
            packetsReceived=traffic.packets_received,
            selectedCandidatePairId=pair,
            localCertificateId=self._add_certificate(report, dtls.local_certificate),
            remoteCertificateId=self._add_certificate(report, dtls.remote_certificate),
            iceRole=ice.role,
            iceState=ice.state,
            dtlsState=dtls.state,
        )

    def add_sender(self, report: RTCStatsReport, sender: RTCRtpSender) -> None:
        """Add what a sender sends, what the other side says of it, and its source."""
        counted, codec, kind = sender._statistics, sender._codec, sender._kind
        source = None
        if (track := sender.track) is not None:
            level = counted.audioLevel
            source = report.add(
                "media-source",
                stats_id(self._id, "source", sender._ssrc),
                trackIdentifier=track.id,
                kind=kind,
                width=counted.sourceWidth or None,
                height=counted.sourceHeight or None,
                framesPerSecond=counted.framesPerSecond if kind == "video" else None,
                audioLevel=level,
            )
        if codec is None:
            return
        outbound, inbound = (
            stats_id(self._id, name, sender._ssrc) for name in ("outbound", "remote-inbound")
        )
        common = {
            "ssrc": sender._ssrc,
            "kind": kind,
            "transportId": self._id,
            "codecId": self._add_codec(report, codec),
        }
        names: tuple[str, ...] = (
            "packetsSent", "bytesSent", "headerBytesSent", "retransmittedPacketsSent",
            "retransmittedBytesSent", "nackCount", "active",
        )  # fmt: skip
        if kind == "video":
            names += (
                "framesEncoded", "framesSent", "keyFramesEncoded", "pliCount", "firCount",
                "frameWidth", "frameHeight", "framesPerSecond", "targetBitrate",
                "encoderImplementation", "rung",
            )  # fmt: skip
        report.add(
            "outbound-rtp",
            outbound,
            **common,
            mediaSourceId=source,
            remoteId=inbound if counted.receiverReports else None,
            **{name: getattr(counted, name) for name in names},
        )
        if counted.receiverReports:
            report.add(
                "remote-inbound-rtp",
                inbound,
                **common,
                localId=outbound,
                packetsReceived=max(0, counted.packetsSent - counted.packetsLost),
                packetsLost=counted.packetsLost,
                fractionLost=counted.fractionLost,
                jitter=counted.jitter,
                roundTripTime=counted.roundTripTime,
                totalRoundTripTime=counted.totalRoundTripTime,
                roundTripTimeMeasurements=counted.roundTripTimeMeasurements,
            )

    def add_receiver(self, report: RTCStatsReport, receiver: RTCRtpReceiver) -> None:
        """Add what arrives on a receiver, and what the other side says of it."""
        track = receiver.track
        for stream in receiver._statistics:
            codec = stream.codec
            inbound, outbound = (
                stats_id(self._id, name, stream.ssrc) for name in ("inbound", "remote-outbound")
            )
            common = {
                "ssrc": stream.ssrc,
                "kind": track.kind,
                "transportId": self._id,
                "codecId": self._add_codec(report, codec) if codec is not None else None,
            }
            clock_rate = codec.clockRate if codec is not None else 90000
            report.add(
                "inbound-rtp",
                inbound,
                **common,
                trackIdentifier=track.id,
                remoteId=outbound if stream.report is not None else None,
                packetsReceived=stream.packets_received,
                bytesReceived=stream.bytes_received,
                packetsLost=stream.packets_lost,
                packetsDiscarded=0,
                jitter=stream.jitter / clock_rate,
                **receiver._decoded,
            )
            if stream.report is not None:
                report.add(
                    "remote-outbound-rtp",
                    outbound,
                    **common,
                    localId=inbound,
                    packetsSent=stream.report.packets_sent,
                    bytesSent=stream.report.bytes_sent,
                    remoteTimestamp=stream.report.timestamp * 1000,
                )

    def add_channel(
        self, report: RTCStatsReport, channel: RTCDataChannel, counts: ChannelCounts
    ) -> None:
        """Add a data channel, with what went over it."""
        report.add(
            "data-channel",
            stats_id(self._id, "channel", id(channel)),
            label=channel.label,
            protocol=channel.protocol,
            dataChannelIdentifier=channel.id,
            state=channel.readyState,
            messagesSent=counts.messages_sent,
            bytesSent=counts.bytes_sent,
            messagesReceived=counts.messages_received,
            bytesReceived=counts.bytes_received,
        )

    def _add_codec(self, report: RTCStatsReport, codec: RTCRtpCodecParameters) -> str:
        parameters = ";".join(
            name if value is None else f"{name}={value}" for name, value in codec.parameters.items()
        )
        return report.add(
            "codec",
            stats_id(self._id, "codec", codec.payloadType, codec.mimeType, parameters),
            payloadType=codec.payloadType,
            mimeType=codec.mimeType,
            clockRate=codec.clockRate,
            channels=codec.channels,
            sdpFmtpLine=parameters or None,
            transportId=self._id,
        )

    def _add_candidate(self, report: RTCStatsReport, side: str, one: RTCIceCandidate) -> str:
        return report.add(
            f"{side}-candidate",
            stats_id(self._id, side, _name(one)),
            transportId=self._id,
            address=one.ip,
            port=one.port,
            protocol=one.protocol.lower(),
            candidateType=one.type,
            priority=one.priority,
            foundation=one.foundation,
            relatedAddress=one.relatedAddress,
            relatedPort=one.relatedPort,
        )

    def _add_certificate(
        self, report: RTCStatsReport, certificate: x509.Certificate | None
    ) -> str | None:
        if certificate is None:
            return None
        digest = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        encoded = certificate.public_bytes(serialization.Encoding.PEM).decode().splitlines()[1:-1]
        return report.add(
            "certificate",
            stats_id(self._id, digest),
            fingerprint=digest,
            fingerprintAlgorithm="sha-256",
            base64Certificate="".join(encoded),
        )


def _name(candidate: RTCIceCandidate) -> str:
    return f"{candidate.type} {candidate.protocol} {candidate.ip} {candidate.port}".lower()
