"""What a request can fail with; each error knows its HTTP status.

* SignalingError
  * OfferMalformed      400
  * Unauthorized        401
  * OriginForbidden     403
  * NoSuchResource      404
  * BodyTimeout         408
  * NotLive             409
  * OfferTooLarge       413
  * WrongContentType    415
  * WrongHost           421
  * OfferRejected       422
  * TooManyRequests     429
  * Overloaded          503
"""


class SignalingError(Exception):
    """A request failed. The message goes to the client: it never carries internal detail."""

    status = 500
    title = "Internal error"


class OfferMalformed(SignalingError):
    """The offer is no valid SDP."""

    status, title = 400, "Malformed offer"


class Unauthorized(SignalingError):
    """The token is missing or wrong."""

    status, title = 401, "Unauthorized"


class OriginForbidden(SignalingError):
    """The request comes from a page of another site."""

    status, title = 403, "Origin not allowed"


class NoSuchResource(SignalingError):
    """There is no such producer or session."""

    status, title = 404, "Not found"


class BodyTimeout(SignalingError):
    """The body did not come in time."""

    status, title = 408, "Request timeout"


class NotLive(SignalingError):
    """The producer has nothing to send at the moment."""

    status, title = 409, "Not live"


class OfferTooLarge(SignalingError):
    """The offer exceeds a limit."""

    status, title = 413, "Offer too large"


class WrongContentType(SignalingError):
    """The body is not of the type that the resource takes."""

    status, title = 415, "Wrong content type"


class WrongHost(SignalingError):
    """The request names a host that this server is not."""

    status, title = 421, "Wrong host"


class OfferRejected(SignalingError):
    """The offer is valid, but nothing here can answer it."""

    status, title = 422, "Offer rejected"


class TooManyRequests(SignalingError):
    """One client asks too often."""

    status, title = 429, "Too many requests"


class Overloaded(SignalingError):
    """There is no place for another session."""

    status, title = 503, "Overloaded"
