"""The switchboard without any I/O: what each message makes others hear."""

import contextlib
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from signaling import Candidate, Description, EndReason, IceServer, Limits, PeerRole
from signaling.auth import Grant
from signaling.errors import Forbidden, NoSuchResource, OfferRejected, OfferTooLarge, Overloaded
from signaling.protocol import (
    Authenticate,
    Consumers,
    EndSession,
    Error,
    ListConsumers,
    ListProducers,
    PeerInfo,
    PeerMessage,
    PeerStatusChanged,
    Producers,
    SessionRequested,
    SessionStarted,
    SetPeerStatus,
    SetProtocolVersion,
    StartSession,
)
from signaling.switchboard import Delivery, Peer, Switchboard

EVERYTHING = Grant(control=True, publish=True)
LISTENER = frozenset({PeerRole.LISTENER})
PRODUCER = frozenset({PeerRole.PRODUCER})
CONSUMER = frozenset({PeerRole.CONSUMER})


def board_with(*peers: Peer, limits: Limits | None = None) -> Switchboard:
    board = Switchboard(limits)
    for peer in peers:
        board.join(peer)
    return board


def producer(id: str = "camera", grant: Grant = EVERYTHING) -> Peer:
    return Peer(id, grant, roles=PRODUCER)


def begin(board: Switchboard, by: str = "viewer", with_: str = "camera") -> str:
    return board.start_session(by, StartSession(with_))[0].id


def test_listeners_hear_who_comes_and_goes_and_themselves() -> None:
    board = board_with(Peer("a", EVERYTHING), Peer("b", EVERYTHING), Peer("deaf", EVERYTHING))
    assert board.receive("a", SetPeerStatus(LISTENER)) == [("a", PeerStatusChanged("a", LISTENER))]
    news = PeerStatusChanged("b", PRODUCER, {"name": "B"})
    assert board.receive("b", SetPeerStatus(PRODUCER, {"name": "B"})) == [("a", news)]
    assert board.receive("b", SetPeerStatus(PRODUCER, {"name": "B"})) == [], "nothing new"
    assert board.leave("b") == [("a", PeerStatusChanged("b", frozenset(), {"name": "B"}))]
    assert board.leave("b") == []


def test_viewers_come_and_go_unheard() -> None:
    board = board_with(producer(), Peer("a", EVERYTHING), Peer("b", EVERYTHING))
    for id in ("camera", "a", "b"):
        heard = board.receive(id, SetPeerStatus(board.peers[id].roles | LISTENER))
        assert (id, PeerStatusChanged(id, board.peers[id].roles)) in heard
        assert all(news.peer_id == "camera" or to == id for to, news in heard
                   if isinstance(news, PeerStatusChanged))  # fmt: skip
    assert board.receive("a", SetPeerStatus(LISTENER, room="other")) == [
        ("a", PeerStatusChanged("a", LISTENER))
    ]
    assert board.leave("b") == []


def test_lists_have_those_of_the_role_and_room() -> None:
    board = board_with(
        producer("p"),
        Peer("elsewhere", EVERYTHING, room="other", roles=PRODUCER),
        Peer("c", EVERYTHING, roles=CONSUMER, meta={"name": "C"}),
        Peer("v", Grant()),
        Peer("server", Grant(), room=None),
    )
    assert board.receive("v", ListProducers()) == [("v", Producers((PeerInfo("p"),)))]
    assert board.receive("v", ListConsumers()) == [
        ("v", Consumers((PeerInfo("c", {"name": "C"}),)))
    ]
    [(_, seen)] = board.receive("server", ListProducers())
    assert seen == Producers((PeerInfo("p"), PeerInfo("elsewhere")))


@pytest.mark.parametrize("offer", [None, "v=0"])
def test_a_viewer_asks_a_producer_with_or_without_an_offer(offer: str | None) -> None:
    turn = IceServer("turn:turn.example.org", "user", "secret")
    board = Switchboard(ice_servers=lambda peer_id: (IceServer(f"stun:{peer_id}"), turn))
    board.join(producer())
    board.join(Peer("viewer", Grant(control=True), renegotiates=False))
    [started, requested] = board.receive("viewer", StartSession("camera", offer))
    [session] = board.sessions.values()
    assert started == (
        "viewer",
        SessionStarted("camera", session.id, may_control=True, renegotiates=True,
                       ice_servers=(IceServer("stun:viewer"), turn)),
    )  # fmt: skip
    assert requested == (
        "camera",
        SessionRequested("viewer", session.id, offer, may_control=True, renegotiates=False,
                         ice_servers=(IceServer("stun:camera"), turn)),
    )  # fmt: skip
    assert len(session.id) >= 43, "256 bits"


@pytest.mark.parametrize("offer", [None, "v=0"])
def test_a_producer_pushes_to_a_consumer(offer: str | None) -> None:
    board = board_with(Peer("sink", Grant(), roles=CONSUMER), Peer("source", Grant(publish=True)))
    heard = board.receive("source", StartSession("sink", offer))
    [session] = board.sessions.values()
    assert (session.producer, session.consumer) == ("source", "sink")
    assert heard[:2] == [
        ("sink", SessionStarted("source", session.id)),
        ("source", SessionRequested("sink", session.id)),
    ]
    said = PeerMessage(session.id, Description("offer", "v=0"))
    assert heard[2:] == ([] if offer is None else [("sink", said)])


def test_both_sides_talk_and_either_ends() -> None:
    board = board_with(producer(), Peer("viewer", Grant()))
    session_id = begin(board)
    for content in (Description("offer", "v=0"), Description("answer", "v=0"), Candidate("x")):
        message = PeerMessage(session_id, content)
        assert board.receive("camera", message) == [("viewer", message)]
        assert board.receive("viewer", message) == [("camera", message)]
    end = EndSession(session_id, EndReason.NOT_LIVE, "unplugged")
    assert board.receive("camera", end) == [("viewer", end)]
    assert board.receive("viewer", end) == [], "both may end it at once"
    assert board.receive("viewer", message) == []


def test_nobody_meddles_with_the_sessions_of_others() -> None:
    board = board_with(producer(), Peer("viewer", Grant()), Peer("stranger", EVERYTHING))
    session_id = begin(board)
    assert board.receive("stranger", EndSession(session_id)) == []
    assert board.receive("stranger", PeerMessage(session_id, Candidate("x"))) == []
    assert session_id in board.sessions


def test_sessions_end_with_their_peer_and_why() -> None:
    board = board_with(producer(), Peer("viewer", Grant()))
    session_id = begin(board)
    lost = board.leave("camera", EndReason.LOST, "gone")
    assert lost == [("viewer", EndSession(session_id, EndReason.LOST, "gone"))]
    assert board.peers["viewer"].sessions == set()


def test_who_is_no_producer_any_more_has_no_sessions_as_one() -> None:
    board = board_with(producer(), Peer("viewer", Grant()), Peer("sink", Grant(), roles=CONSUMER))
    watched, pushed = begin(board), begin(board, "camera", "sink")
    heard = board.receive("camera", SetPeerStatus(LISTENER))
    assert sorted(
        message.session_id for _, message in heard if isinstance(message, EndSession)
    ) == (sorted([watched, pushed]))
    assert board.sessions == {}


def test_a_peer_that_changes_rooms_is_gone_in_one_and_there_in_the_other() -> None:
    board = board_with(
        producer(),
        Peer("here", Grant(), roles=LISTENER),
        Peer("there", Grant(), roles=LISTENER, room="there"),
        Peer("viewer", Grant()),
    )
    session_id = begin(board)
    heard = board.receive("camera", SetPeerStatus(PRODUCER, room="there"))
    assert heard == [
        ("here", PeerStatusChanged("camera", frozenset())),
        ("there", PeerStatusChanged("camera", PRODUCER)),
    ]
    assert session_id in board.sessions, "whoever talks goes on"
    with pytest.raises(NoSuchResource):
        begin(board)
    assert board.receive("camera", SetPeerStatus(PRODUCER)) == [], "no room named: none left"
    assert board.peers["camera"].room == "there"


@pytest.mark.parametrize(
    ("by", "with_", "error"),
    [
        ("viewer", "nobody", NoSuchResource),
        ("viewer", "viewer", NoSuchResource),
        ("viewer", "stranger", NoSuchResource),
        ("viewer", "elsewhere", NoSuchResource),
        ("camera", "camera", OfferRejected),
        ("viewer", "sink", Forbidden),
    ],
)
def test_sessions_that_can_not_be(by: str, with_: str, error: type[Exception]) -> None:
    board = board_with(
        producer(),
        Peer("viewer", Grant()),
        Peer("stranger", Grant()),
        Peer("sink", Grant(), roles=CONSUMER),
        Peer("elsewhere", EVERYTHING, room="other", roles=PRODUCER),
    )
    with pytest.raises(error):
        begin(board, by, with_)
    [(sender, refusal)] = board.receive(by, StartSession(with_))
    assert sender == by
    assert isinstance(refusal, Error)
    assert refusal.peer_id == with_
    assert board.sessions == {}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (SetPeerStatus(PRODUCER), Forbidden),
        (SetPeerStatus(CONSUMER, {"a": "x" * 100}), OfferTooLarge),
        (SetPeerStatus(CONSUMER), Overloaded),
    ],
)
def test_what_a_peer_can_not_be(status: SetPeerStatus, error: type[Exception]) -> None:
    board = board_with(producer(), Peer("viewer", Grant()), limits=Limits(meta=50, producers=1))
    with pytest.raises(error):
        board.set_status("viewer", status)
    assert board.peers["viewer"].roles == frozenset()


def test_nobody_is_producer_and_consumer() -> None:
    board = board_with(Peer("both", EVERYTHING))
    with pytest.raises(OfferRejected):
        board.set_status("both", SetPeerStatus(PRODUCER | CONSUMER))


def test_a_producer_keeps_its_place_when_the_list_is_full() -> None:
    board = board_with(producer(), limits=Limits(producers=1))
    assert board.set_status("camera", SetPeerStatus(PRODUCER, {"name": "other"})) == []


def test_places_are_limited() -> None:
    limits = Limits(peers=4, sessions=3, sessions_per_address=2)
    board = board_with(
        producer(),
        Peer("a", Grant(), address="192.0.2.1"),
        Peer("b", Grant(), address="192.0.2.1"),
        Peer("c", Grant(), address="192.0.2.2"),
        limits=limits,
    )
    with pytest.raises(Overloaded):
        board.join(Peer("d", Grant()))
    begin(board, "a")
    begin(board, "b")
    with pytest.raises(Overloaded, match="this address"):
        begin(board, "b")
    begin(board, "c")
    with pytest.raises(Overloaded, match="every place is taken"):
        begin(board, "c")


def test_an_id_is_taken_once() -> None:
    with pytest.raises(ValueError, match="already"):
        board_with(producer(), producer())


def test_producers_go_by_their_id_or_their_only_name() -> None:
    board = board_with(
        producer("a"),
        Peer("b", EVERYTHING, roles=PRODUCER, meta={"name": "garden"}),
        Peer("c", EVERYTHING, roles=PRODUCER, meta={"name": "twice"}),
        Peer("d", EVERYTHING, roles=PRODUCER, meta={"name": "twice"}),
        Peer("e", EVERYTHING, roles=PRODUCER, meta={"name": "a"}),
        Peer("f", Grant(), meta={"name": "no producer"}),
    )
    assert board.find(PeerRole.PRODUCER, "a").id == "a", "an id is nobody else's"
    assert board.find(PeerRole.PRODUCER, "garden").id == "b"
    for name in ("twice", "no producer", "f"):
        with pytest.raises(NoSuchResource):
            board.find(PeerRole.PRODUCER, name)


def test_versions_are_taken_and_late_tokens_are_not() -> None:
    board = board_with(Peer("a", Grant()))
    assert board.receive("a", SetProtocolVersion("v1_0")) == []
    [(_, refusal)] = board.receive("a", Authenticate("token"))
    assert isinstance(refusal, Error)


def test_at_the_end_both_sides_hear_it() -> None:
    board = board_with(producer(), Peer("viewer", Grant()))
    ended = EndSession(begin(board), EndReason.CLOSED, "stopped")
    assert board.end_all(EndReason.CLOSED, "stopped") == [("camera", ended), ("viewer", ended)]
    assert board.leave("viewer") == []


IDS = ["camera", "sink", "viewer", "other", "late"]


class AnySequence(RuleBasedStateMachine):
    """Whatever peers do, in whatever order: what each has heard of sessions makes sense."""

    sessions: Bundle[str] = Bundle("sessions")
    ids = st.sampled_from(IDS)

    def __init__(self) -> None:
        super().__init__()
        self.board = Switchboard(Limits(peers=4, sessions=4, sessions_per_address=3, producers=2))
        self.talking: dict[str, set[str]] = {id: set() for id in IDS}
        """The sessions that each peer knows of and has not heard the end of."""
        self.board.join(producer())
        self.board.join(Peer("sink", EVERYTHING, roles=CONSUMER))
        self.board.join(Peer("viewer", EVERYTHING, roles=LISTENER))

    def hear(self, deliveries: Iterable[Delivery]) -> None:
        for peer_id, message in deliveries:
            assert peer_id in self.board.peers, "nobody talks to the dead"
            match message:
                case SessionRequested(_, session_id) | SessionStarted(_, session_id):
                    assert session_id not in self.talking[peer_id], "begun once"
                    self.talking[peer_id].add(session_id)
                case EndSession(session_id):
                    assert session_id in self.talking[peer_id], "ended once"
                    self.talking[peer_id].discard(session_id)
                case PeerMessage(session_id):
                    assert session_id in self.talking[peer_id], "said between begin and end"

    def here(self, peer_id: str) -> bool:
        return peer_id in self.board.peers

    @rule(id=ids, publish=st.booleans(), address=st.sampled_from("ab"))
    def join(self, id: str, publish: bool, address: str) -> None:
        with contextlib.suppress(ValueError, Overloaded):
            self.board.join(Peer(id, Grant(publish=publish), address))

    @rule(id=ids)
    def leave(self, id: str) -> None:
        self.talking[id].clear()
        self.hear(self.board.leave(id, EndReason.LOST))

    @rule(
        id=ids,
        roles=st.sampled_from([PRODUCER, CONSUMER, LISTENER, PRODUCER | LISTENER, frozenset()]),
        room=st.sampled_from([None, None, None, "", "room"]),
    )
    def set_status(self, id: str, roles: frozenset[PeerRole], room: str | None) -> None:
        if not self.here(id):
            return
        before = set(self.board.sessions)
        self.hear(self.board.receive(id, SetPeerStatus(roles, room=room)))
        self.talking[id] -= before - set(self.board.sessions)  # who gives up knows

    @rule(target=sessions, id=ids, other=ids, offer=st.sampled_from([None, "v=0"]))
    def start(self, id: str, other: str, offer: str | None) -> str:
        if not self.here(id):
            return ""
        before = set(self.board.sessions)
        self.hear(self.board.receive(id, StartSession(other, offer)))
        return next(iter(set(self.board.sessions) - before), "")

    @rule(id=ids, session=sessions)
    def say(self, id: str, session: str) -> None:
        if self.here(id):
            self.hear(self.board.receive(id, PeerMessage(session, Candidate(""))))

    @rule(id=ids, session=consumes(sessions))
    def end(self, id: str, session: str) -> None:
        if self.here(id):
            self.hear(self.board.receive(id, EndSession(session)))
            self.talking[id].discard(session)

    @rule()
    def end_all(self) -> None:
        self.hear(self.board.end_all(EndReason.CLOSED, ""))

    @invariant()
    def every_session_has_its_two_peers(self) -> None:
        board = self.board
        assert len(board.peers) <= 4
        assert len(board.sessions) <= 4
        for session in board.sessions.values():
            assert session.producer != session.consumer
            assert session.id in board.peers[session.producer].sessions
            assert session.id in board.peers[session.consumer].sessions
        for id in IDS:
            known = board.peers[id].sessions if self.here(id) else set()
            assert self.talking[id] == known, "peers know what the switchboard knows"


AnySequence.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnySequence = AnySequence.TestCase
