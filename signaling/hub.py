"""The switchboard of one process, and how its peers are reached."""

import collections
import logging
from collections.abc import Callable

from .auth import Grant
from .errors import SignalingError
from .limits import Limits
from .protocol import ClientMessage, Error, ServerMessage, SetPeerStatus, StartSession
from .session import EndReason, IceServer
from .switchboard import Delivery, Peer, Session, Switchboard, new_peer_id, refusal

logger = logging.getLogger(__name__)

Deliver = Callable[[ServerMessage], None]
"""Takes a message for a peer; it neither waits nor raises, and calls the hub back later only."""


class Hub:
    """Where the peers of one process meet, however they are connected.

    :param ice_servers: what a peer of this id is told to use for one more session.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        ice_servers: Callable[[str], tuple[IceServer, ...]] = lambda peer_id: (),
    ) -> None:
        self.limits = limits or Limits()
        self.switchboard = Switchboard(self.limits, ice_servers)
        self.counts: collections.Counter[str] = collections.Counter()
        """Messages by type, sessions begun, and refusals by what was refused."""
        self._deliver: dict[str, Deliver] = {}

    def join(
        self,
        deliver: Deliver,
        grant: Grant,
        *,
        peer_id: str | None = None,
        address: str = "",
        renegotiates: bool = True,
        room: str | None = "",
    ) -> str:
        """Let a peer in; returns its id.

        :param renegotiates: whether it takes and makes further offers within a session.
        :param room: the only one that it sees; None for all.
        :raises Overloaded: there is no place.
        :raises ValueError: its id is taken.
        """
        peer = Peer(peer_id or new_peer_id(), grant, address, renegotiates, room)
        self.switchboard.join(peer)
        self._deliver[peer.id] = deliver
        return peer.id

    def authorise(self, peer_id: str, grant: Grant) -> None:
        """Let a peer do something else from now on."""
        self.switchboard.peers[peer_id].grant = grant

    def receive(self, peer_id: str, message: ClientMessage) -> None:
        """Take a peer's message; one of a peer that is gone is dropped."""
        if peer_id not in self._deliver:
            return
        self.counts[f"messages.{message.type}"] += 1
        if isinstance(message, StartSession):
            try:
                self.start_session(peer_id, message)
            except SignalingError as error:
                self.refuse(peer_id, error, message)
            return
        self._hand_out(self.switchboard.receive(peer_id, message))

    def start_session(
        self, peer_id: str, message: StartSession, *, session_id: str | None = None
    ) -> Session:
        """Begin a session that a peer asks for.

        :param session_id: its id, when the peer has one already; made up when None.
        :raises SignalingError: Forbidden, NoSuchResource, OfferRejected, Overloaded.
        """
        session, heard = self.switchboard.start_session(peer_id, message, session_id)
        self.counts["sessions"] += 1
        logger.info("session %s: %s to %s", session.id[:6], session.producer, session.consumer)
        self._hand_out(heard)
        return session

    def set_status(self, peer_id: str, status: SetPeerStatus) -> None:
        """Say what a peer is.

        :raises SignalingError: Forbidden, OfferRejected, OfferTooLarge, Overloaded.
        """
        self._hand_out(self.switchboard.set_status(peer_id, status))

    def refuse(
        self, peer_id: str, error: SignalingError, message: ClientMessage | None = None
    ) -> None:
        """Tell a peer that something which it asked for was refused."""
        self._hand_out([(peer_id, refusal(error, message))])

    def leave(self, peer_id: str, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        """End a peer's sessions and forget it; one that is gone already is no error."""
        self._deliver.pop(peer_id, None)
        self._hand_out(self.switchboard.leave(peer_id, reason, detail))

    def close(self) -> None:
        """End every session, and tell both sides; who is there may stay."""
        self._hand_out(
            self.switchboard.end_all(EndReason.CLOSED, "the signalling server was stopped")
        )

    def _hand_out(self, heard: list[Delivery]) -> None:
        for peer_id, message in heard:
            if isinstance(message, Error):
                self.counts[f"refusals.{message.reason or EndReason.FAILED}"] += 1
            if peer_id in self._deliver:
                self._deliver[peer_id](message)
