"""What a request can fail with; each error knows its HTTP status, and what it ends a session with.

* SignalingError
  * OfferMalformed        400
  * Unauthorized          401
  * Forbidden             403
    * OriginForbidden
  * NoSuchResource        404
  * BodyTimeout           408
  * NotLive               409
  * Busy                  409
  * PreconditionFailed    412
  * OfferTooLarge         413
  * WrongContentType      415
  * WrongHost             421
  * OfferRejected         422
  * PreconditionRequired  428
  * TooManyRequests       429
  * Overloaded            503
  * NoAnswer              503
"""

from .session import EndReason


class SignalingError(Exception):
    """A request failed. The message goes to the client: it never carries internal detail."""

    status = 500
    title = "Internal error"
    reason = EndReason.FAILED


class OfferMalformed(SignalingError):
    """The offer, or what else was sent, can't be understood."""

    status, title = 400, "Malformed"
    reason = EndReason.MALFORMED


class Unauthorized(SignalingError):
    """The token is missing or wrong."""

    status, title = 401, "Unauthorized"
    reason = EndReason.UNAUTHORIZED


class Forbidden(SignalingError):
    """The token is right, but not for this."""

    status, title = 403, "Forbidden"
    reason = EndReason.UNAUTHORIZED


class OriginForbidden(Forbidden):
    """The request comes from a page of another site."""

    title = "Origin not allowed"


class NoSuchResource(SignalingError):
    """There is no such producer, consumer or session."""

    status, title = 404, "Not found"
    reason = EndReason.NOT_LIVE


class BodyTimeout(SignalingError):
    """The body did not come in time."""

    status, title = 408, "Request timeout"


class NotLive(SignalingError):
    """The producer has nothing to send at the moment."""

    status, title = 409, "Not live"
    reason = EndReason.NOT_LIVE


class Busy(SignalingError):
    """The session is at something else, which will soon be over."""

    status, title = 409, "Busy"


class PreconditionFailed(SignalingError):
    """If-Match names another state of the session."""

    status, title = 412, "Precondition failed"


class OfferTooLarge(SignalingError):
    """The offer exceeds a limit."""

    status, title = 413, "Offer too large"
    reason = EndReason.MALFORMED


class WrongContentType(SignalingError):
    """The body is not of the type that the resource takes."""

    status, title = 415, "Wrong content type"


class WrongHost(SignalingError):
    """The request names a host that this server is not."""

    status, title = 421, "Wrong host"


class OfferRejected(SignalingError):
    """The offer is valid, but nothing here can answer it."""

    status, title = 422, "Offer rejected"
    reason = EndReason.REJECTED


class PreconditionRequired(SignalingError):
    """If-Match is missing."""

    status, title = 428, "Precondition required"


class TooManyRequests(SignalingError):
    """One client asks too often."""

    status, title = 429, "Too many requests"
    reason = EndReason.OVERLOADED


class Overloaded(SignalingError):
    """There is no place for another session."""

    status, title = 503, "Overloaded"
    reason = EndReason.OVERLOADED


class NoAnswer(SignalingError):
    """The other peer did not answer in time, or is gone."""

    status, title = 503, "No answer"


_BY_REASON: dict[EndReason, type[SignalingError]] = {
    EndReason.NOT_LIVE: NotLive,
    EndReason.MALFORMED: OfferMalformed,
    EndReason.REJECTED: OfferRejected,
    EndReason.OVERLOADED: Overloaded,
    EndReason.UNAUTHORIZED: Unauthorized,
}


def error_for(reason: EndReason, detail: str) -> SignalingError:
    """Why a session was not begun, when the other peer ended it with this reason."""
    return _BY_REASON.get(reason, NoAnswer)(detail or "the other side ended the session")
