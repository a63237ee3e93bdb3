"""Which client an address asks for."""

from typing import Any

import pytest

from signaling.clients import StdioClient, WebSocketClient, WhepClient, WhipClient, client_for
from signaling.session import SignalingClient


@pytest.mark.parametrize(
    ("url", "offer", "kind"),
    [
        ("ws://127.0.0.1:8080/", True, WebSocketClient),
        ("wss://host/ws", False, WebSocketClient),
        ("WSS://HOST/", False, WebSocketClient),
        ("https://sfu.example/whip/room", True, WhipClient),
        ("https://sfu.example/room/whip", True, WhipClient),
        ("https://sfu.example/whep/room", False, WhepClient),
        ("http://127.0.0.1:8889/anything", True, WhipClient),
        ("http://[::1]:8889/anything?x=1", False, WhepClient),
        ("https://whep.example/w", True, WhipClient),
        ("https://sfu.example/whip/whep", False, WhepClient),
    ],
)
async def test_by_scheme_and_path(url: str, offer: bool, kind: type) -> None:
    client: SignalingClient = client_for(url, offer=offer)
    assert type(client) is kind
    await client.close()


@pytest.mark.parametrize(
    ("url", "offer", "said"),
    [
        ("https://sfu.example/whep/room", True, "to publish it must be a WHIP URL"),
        ("https://sfu.example/whip/room", False, "to watch it must be a WHEP URL"),
        ("http://sfu.example/whip/room", True, "it needs https://"),
        ("sfu.example", True, "ws:// or wss:// .* https:// for WHIP and WHEP, - for copy"),
        ("rtmp://sfu.example", False, "ws:// or wss://"),
        ("", True, "ws:// or wss://"),
        ("https://[/", True, "is no URL"),
        ("ws:///", True, "is no ws:// or wss:// URL"),
    ],
)
async def test_what_is_no_address_says_what_would_be_one(url: str, offer: bool, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        client_for(url, offer=offer)


async def test_the_token_of_the_address_that_our_server_prints() -> None:
    client: Any = client_for("https://sfu.example/whip/room#t=secret", offer=True)
    assert client._token == "secret"
    client = client_for("https://sfu.example/whip/room#t=secret", offer=True, token="other")
    assert client._token == "other"


@pytest.mark.parametrize("offer", [True, False])
async def test_copy_and_paste(offer: bool) -> None:
    client = client_for("-", offer=offer)
    assert isinstance(client, StdioClient)
    session = await anext(client.sessions())
    assert session.offers is offer
    await client.close()
