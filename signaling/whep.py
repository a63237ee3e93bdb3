"""The WHEP resource: what its responses carry (draft-ietf-wish-whep, RFC 9725; pure)."""

import json
from collections.abc import Mapping

from .errors import SignalingError, Unauthorized
from .limits import Limits
from .switchboard import Session

SDP = "application/sdp"
EXPOSED = "Location, ETag, Link, Retry-After"
ENDPOINT_METHODS = "OPTIONS, GET, HEAD, POST"
SESSION_METHODS = "OPTIONS, GET, HEAD, DELETE"


def created_headers(session: Session) -> dict[str, str]:
    """Of the 201 that carries the answer."""
    return {
        "Content-Type": SDP,
        "Location": f"/whep/{session.producer.id}/{session.id}",
        "ETag": session.etag,
    }


def options_headers(methods: str) -> dict[str, str]:
    """Of the answer to a preflight, and to whoever asks what may be posted."""
    return {"Allow": methods, "Accept-Post": SDP}


def cors_headers(origin: str, methods: str) -> dict[str, str]:
    """For a page whose origin is allowed."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
        "Access-Control-Expose-Headers": EXPOSED,
        "Vary": "Origin",
    }


def problem(error: SignalingError, limits: Limits) -> tuple[str, Mapping[str, str]]:
    """The body (RFC 9457) and headers of a refusal."""
    headers = {"Content-Type": "application/problem+json"}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.status in (409, 429, 503):
        headers["Retry-After"] = str(limits.retry_after)
    body = {"title": error.title, "status": error.status, "detail": str(error)}
    return json.dumps(body), headers
