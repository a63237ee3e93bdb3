from signaling.cluster.messages import Alive, Changed, Hello, Left, Presence, State
from signaling.cluster.roster import NODE_TIMEOUT, NodeGone, NodeUnsure, PeerChanged, Roster
from signaling.protocol import PeerRole

PRODUCER = frozenset({PeerRole.PRODUCER})
CAMERA, SCREEN = Presence("camera", PRODUCER), Presence("screen", PRODUCER)
NOTHING: frozenset[str] = frozenset()


def roster_with(*peers: Presence, version: int = 5) -> Roster:
    """One that knows of node b and its peers."""
    roster = Roster()
    roster.receive(Hello("b"), 0)
    roster.receive(State("b", version, peers, NOTHING), 0)
    return roster


def known(roster: Roster) -> dict[str, str]:
    return {peer.id: node for node in roster.nodes() for peer in roster.peers(node)}


def test_a_new_node_is_asked_and_believed() -> None:
    roster = Roster()
    assert roster.receive(Alive("b", 2), 0) == [NodeUnsure("b", is_new=True)]
    assert roster.receive(State("b", 2, (CAMERA,), NOTHING), 0) == [PeerChanged("b", CAMERA)]
    assert roster.receive(Alive("b", 2), 0) == []
    assert known(roster) == {"camera": "b"}


def test_a_state_that_nobody_asked_for_is_taken() -> None:
    assert Roster().receive(State("b", 2, (CAMERA,), NOTHING), 0) == [PeerChanged("b", CAMERA)]


def test_changes_are_followed() -> None:
    roster = roster_with(CAMERA)
    other = Presence("camera", PRODUCER, {"name": "other"})
    assert roster.receive(Changed("b", 6, SCREEN), 0) == [PeerChanged("b", SCREEN)]
    assert roster.receive(Changed("b", 7, other), 0) == [PeerChanged("b", other)]
    gone = Presence("screen")
    assert roster.receive(Changed("b", 8, gone), 0) == [PeerChanged("b", gone)]
    assert roster.receive(Changed("b", 9, gone), 0) == []
    assert roster.receive(Alive("b", 9), 0) == []
    assert known(roster) == {"camera": "b"}


def test_a_change_that_was_missed_is_noticed_once() -> None:
    roster = roster_with(CAMERA)
    assert roster.receive(Changed("b", 7, SCREEN), 0) == [NodeUnsure("b")]
    assert roster.receive(Changed("b", 8, SCREEN), 0) == [], "the answer is on its way"
    state = State("b", 8, (SCREEN,), NOTHING)
    assert roster.receive(state, 0) == [
        PeerChanged("b", Presence("camera")),
        PeerChanged("b", SCREEN),
    ]
    assert roster.receive(Alive("b", 8), 0) == []


def test_the_last_change_may_be_missed_and_the_answer_too() -> None:
    roster = roster_with(CAMERA)
    for _ in range(2):
        assert roster.receive(Alive("b", 6), 0) == [NodeUnsure("b")]


def test_a_change_older_than_the_state_is_no_news() -> None:
    roster = Roster()
    roster.receive(Hello("b"), 0)
    assert roster.receive(Changed("b", 5, CAMERA), 0) == []
    roster.receive(State("b", 5, (), NOTHING), 0)
    assert roster.receive(Changed("b", 5, CAMERA), 0) == []
    assert known(roster) == {}


def test_a_node_that_says_hello_again_is_asked() -> None:
    assert roster_with().receive(Hello("b"), 0) == [NodeUnsure("b")]


def test_a_node_that_leaves_takes_its_peers_along() -> None:
    roster = roster_with(CAMERA, SCREEN)
    assert roster.receive(Left("b"), 0) == [NodeGone("b", in_order=True)]
    assert "b" not in roster.nodes()
    assert roster.receive(Left("b"), 0) == []


def test_silence_is_the_end_of_a_node() -> None:
    roster = roster_with(CAMERA)
    roster.receive(Alive("b", 5), 10)
    assert roster.expire(10 + NODE_TIMEOUT) == []
    assert roster.expire(10.1 + NODE_TIMEOUT) == [NodeGone("b", in_order=False)]
    assert roster.receive(Alive("b", 5), 20) == [NodeUnsure("b", is_new=True)], (
        "it was only cut off"
    )


def test_who_could_not_listen_counts_silence_anew() -> None:
    roster = roster_with(CAMERA)
    roster.forgive(100)
    assert roster.expire(100 + NODE_TIMEOUT) == []
    assert roster.expire(100.1 + NODE_TIMEOUT) != []
