"""The one transport of a connection: ICE, DTLS on it, and SCTP for data channels.

Everything is bundled and multiplexed (`max-bundle`, rtcp-mux), so there is never another.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDtlsParameters,
    RTCIceCandidate,
    RTCIceServer,
)
from aiortc.rtcsctptransport import RTCSctpCapabilities

from .aiortc_seam.dtls import DtlsTransport
from .aiortc_seam.ice import IceTransport
from .aiortc_seam.sctp import SctpTransport
from .sdp import Sdp, Section, Setup

logger = logging.getLogger(__name__)

_ROLES: dict[Setup, str] = {"active": "client", "passive": "server"}
_SETUPS: dict[str, Setup] = {role: setup for setup, role in _ROLES.items()}


class BundleTransport:
    """ICE, DTLS and SCTP of one connection.

    :param changed: called when a state has changed.
    :param connected: awaited once, when media and data can flow.
    :param data_channel: called with each channel that the other side opens.
    """

    def __init__(
        self,
        ice_servers: Sequence[RTCIceServer],
        *,
        relay_only: bool,
        allow_remote: Callable[[RTCIceCandidate], bool] | None,
        certificate: RTCCertificate,
        changed: Callable[[], None],
        connected: Callable[[], Awaitable[None]],
        data_channel: Callable[[RTCDataChannel], None],
    ) -> None:
        self.ice = IceTransport(ice_servers, relay_only=relay_only, allow_remote=allow_remote)
        self.dtls = DtlsTransport(self.ice, certificate)
        self._certificate = certificate
        self.sctp: SctpTransport | None = None
        self._changed, self._connected = changed, connected
        self._data_channel = data_channel
        self._role: str | None = None
        self._controlling: bool | None = None
        self._remote: Section | None = None
        self._remote_data: Section | None = None
        self._started_with: str | None = None
        self._sctp_started = False
        self.restarted = False
        """Whether a generation was begun that is not negotiated yet."""
        self._checking = False
        self._task: asyncio.Task[None] | None = None
        for part in (self.ice, self.dtls):
            part.on("statechange", changed)
        self.ice.on("gatheringstatechange", changed)

    # Describing this side.

    def with_data(self) -> SctpTransport:
        """The transport of data channels, which exists from now on."""
        if self.sctp is None:
            self.sctp = SctpTransport(self.dtls)
            self.sctp.on("datachannel", self._data_channel)
        return self.sctp

    def describe(self, section: Section, setup: Setup) -> None:
        """Write this side's parameters into a section of a description."""
        section.ice = self.ice.parameters
        fingerprints = self.dtls.getLocalParameters().fingerprints
        section.fingerprints = [one for one in fingerprints if one.algorithm == "sha-256"]
        section.setup = setup
        if section.kind == "application":
            sctp = self.with_data()
            section.sctp_port = sctp.port
            section.max_message_size = sctp.getCapabilities().maxMessageSize

    def add_candidates(self, description: Sdp) -> None:
        """Write what has been gathered into the sections of a description of this side.

        All of them get it: stock aiortc reads those of the last section.
        """
        for section in description.sections:
            if not section.rejected:
                section.candidates = self.ice.candidates
                section.end_of_candidates = self.ice.gathering_state == "complete"

    def answer_setup(self, offered: Section) -> Setup:
        """The role that this side answers with (RFC 8842 5.3)."""
        if self._role is None:
            self._role = "server" if offered.setup == "active" else "client"
        return _SETUPS[self._role]

    async def offer(self) -> None:
        """An offer of this side is in force: gather, and expect the other side's checks."""
        self.ice.take_role(controlling=self._controlling is not False)
        await self.ice.gather()

    def restart(self) -> None:
        """Begin a new ICE generation, once until the other side has answered."""
        if not self.restarted:
            self.restarted = True
            self.ice.restart()

    def give_up_restart(self) -> None:
        """A rollback: the generation that is in use stays."""
        if self.restarted:
            self.restarted = False
            self.ice.rollback_restart()

    # The other side.

    def is_restarted_by(self, section: Section) -> bool:
        """Whether a description of the other side begins a new ICE generation."""
        return self._started_with is not None and section.ice.usernameFragment != self._started_with

    def accept(self, transport: Section, data: Section | None, *, offered: bool) -> None:
        """Both descriptions are in force: connect with what the other side's say.

        :param offered: whether this side made the offer.
        """
        self._remote, self._remote_data = transport, data
        if self._role is None or (offered and self.dtls.state == "new"):
            self._role = "server" if transport.setup == "active" else "client"
        if self._controlling is None:
            # RFC 8445 6.1.1: the offerer controls, but a full implementation always does
            # where the other one is lite.
            self._controlling = offered or transport.ice.iceLite
        self.restarted = False
        if self._checking and transport.ice.usernameFragment != self._started_with:
            assert self._task is not None
            self._task.cancel()  # it waits for a generation that is given up
            self._begin()
        elif self._task is None or self._task.done():
            self._begin()

    def replace_dtls(self, remote: Section) -> DtlsTransport:
        """Begin another DTLS association on the same ICE transport: the other side has thrown the
        one away that there was."""
        self.dtls = DtlsTransport(self.ice, self._certificate)
        self.dtls.on("statechange", self._changed)
        self._remote = remote
        if self._task is None or self._task.done():
            self._begin()
        return self.dtls

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_log_failure)

    async def _run(self) -> None:
        """Bring everything up to what was accepted last."""
        assert self._role is not None
        assert self._controlling is not None
        while (remote := self._remote) is not None:
            self._remote = None
            if remote.ice.usernameFragment != self._started_with:
                self._started_with = remote.ice.usernameFragment
                self._checking = True
                try:
                    await self.ice.start(remote.ice, controlling=self._controlling)
                except ConnectionError as error:
                    logger.debug("no connection by ICE: %s", error)
                    continue  # another generation may have been negotiated meanwhile
                finally:
                    self._checking = False
            if self.dtls.state == "new":
                self.dtls.set_role(self._role)
                parameters = RTCDtlsParameters(remote.fingerprints, self._role)
                await self.dtls.start(parameters)
                if self.dtls.state == "connected":
                    await self._connected()
            await self._start_data()

    async def _start_data(self) -> None:
        data = self._remote_data
        if data is None or self._sctp_started or self.dtls.state != "connected":
            return
        assert data.sctp_port is not None
        assert data.max_message_size is not None
        self._sctp_started = True
        await self.with_data().start(RTCSctpCapabilities(data.max_message_size), data.sctp_port)

    async def close(self) -> None:
        """Take leave of the other side, and let go of everything."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.sctp is not None:
            await self.sctp.stop()
        await self.dtls.stop()
        await self.ice.stop()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("connecting failed", exc_info=error)
