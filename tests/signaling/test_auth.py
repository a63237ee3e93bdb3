import pytest

from signaling import auth
from signaling.errors import OriginForbidden, Unauthorized, WrongHost


def test_tokens_are_long_and_differ() -> None:
    tokens = {auth.generate_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(len(token) for token in tokens) * 6 >= 128


@pytest.mark.parametrize("header", [None, "", "secret", "Basic secret", "Bearer", "Bearer secre"])
def test_a_missing_or_wrong_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthorized):
        auth.check_token(header, "secret")


def test_the_right_token_and_no_token_at_all_are_taken() -> None:
    auth.check_token("Bearer secret", "secret")
    auth.check_token("bearer secret", "secret")
    auth.check_token(None, None)


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
