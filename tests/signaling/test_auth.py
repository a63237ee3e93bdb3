import pytest

from signaling import auth
from signaling.auth import Grant, Tokens
from signaling.errors import OriginForbidden, Unauthorized, WrongHost


def test_tokens_can_be_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(["-taken-for-an-option", "fine"])
    monkeypatch.setattr(auth.secrets, "token_urlsafe", lambda size: next(made))
    assert auth.generate_token() == "fine"


def test_tokens_are_long_and_differ() -> None:
    tokens = {auth.generate_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(len(token) for token in tokens) * 6 >= 128


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("secret", None),
        ("Basic secret", None),
        ("Bearer", None),
        ("Bearer secret", "secret"),
        ("bearer  secret ", "secret"),
    ],
)
def test_the_token_is_what_follows_bearer(header: str | None, token: str | None) -> None:
    assert auth.bearer(header) == token


TOKENS = Tokens(watch="watch", control="control", publish="publish")


@pytest.mark.parametrize("token", [None, "", "secret", "watc", "watch ", "w\udcff"])
def test_a_missing_or_wrong_token_is_refused(token: str | None) -> None:
    with pytest.raises(Unauthorized):
        TOKENS.grant(token)
    assert not TOKENS.proves(token)


@pytest.mark.parametrize(
    ("tokens", "token", "grant"),
    [
        (TOKENS, "watch", Grant()),
        (TOKENS, "control", Grant(control=True)),
        (TOKENS, "publish", Grant(publish=True)),
        (Tokens(), None, Grant()),
        (Tokens(), "anything", Grant()),
        (Tokens(control="control"), "control", Grant(control=True)),
        (Tokens(publish="publish"), None, Grant()),
        (Tokens(publish="publish"), "publish", Grant(publish=True)),
        (Tokens(watch="watch"), "watch", Grant()),
        (Tokens(watch="watch", watchers_publish=True), "watch", Grant(publish=True)),
        (Tokens(watchers_publish=True), None, Grant(publish=True)),
        (Tokens(watch="watch", publish="publish", watchers_publish=True), "watch", Grant()),
    ],
)
def test_each_token_says_who_may_do_what(tokens: Tokens, token: str | None, grant: Grant) -> None:
    assert tokens.grant(token) == grant


def test_tokens_are_in_no_log() -> None:
    assert repr(TOKENS) == "Tokens(watchers_publish=False)"


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "[::1]:80", "192.0.2.7:8080"])
def test_own_names_and_addresses_are_hosts(host: str) -> None:
    auth.check_host(host, {"localhost"})


@pytest.mark.parametrize("host", [None, "", "evil.example", "localhost.evil.example", "[", "a b"])
def test_another_name_is_no_host_of_ours(host: str | None) -> None:
    with pytest.raises(WrongHost):
        auth.check_host(host, {"localhost"})


def test_the_own_page_and_listed_origins_may_change_things() -> None:
    auth.check_origin("http://localhost:8080", "localhost:8080", token_shown=False)
    auth.check_origin(
        "https://example.org", "localhost", token_shown=False, allowed={"https://example.org"}
    )
    auth.check_origin(None, "localhost", token_shown=True)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://localhost", "http://localhost:8081", "null", "localhost:8080"],
)
def test_pages_of_other_sites_may_not_even_with_a_token(origin: str) -> None:
    with pytest.raises(OriginForbidden):
        auth.check_origin(origin, "localhost:8080", token_shown=True)


def test_no_origin_needs_a_token() -> None:
    with pytest.raises(OriginForbidden, match="bearer token"):
        auth.check_origin(None, "localhost", token_shown=False)
