"""The errors of the W3C interfaces, under their names.

* DOMException
  * AbortError              the operation failed for a reason none of the others names
  * InvalidAccessError      the object does not support the operation or argument
  * InvalidModificationError
  * InvalidStateError       the object is in the wrong state
  * NotAllowedError         permission denied
  * NotFoundError           there is no such device
  * NotReadableError        the device exists but can't be read: another program holds it
  * NotSupportedError
  * OperationError
    * RTCError              and its `errorDetail` says what of WebRTC failed
  * OverconstrainedError    no device or mode satisfies the required constraints
  * SecurityError
  * UnknownError

Wrong arguments raise Python's own TypeError, as WebIDL does.
"""


class DOMException(Exception):
    """An error with a name and a message for a person (WebIDL 2.8.1)."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    @property
    def name(self) -> str:
        """The error's name; each class here carries its own."""
        return type(self).__name__

    @property
    def code(self) -> int:
        """The legacy code, 0 for an error that has none."""
        return _LEGACY_CODES.get(self.name, 0)


class AbortError(DOMException):
    """The operation was aborted, or failed for a reason that has no name of its own."""


class InvalidAccessError(DOMException):
    """The object does not support the operation or argument."""


class InvalidModificationError(DOMException):
    """The object can not be modified in this way."""


class InvalidStateError(DOMException):
    """The object is in a state in which the operation makes no sense."""


class NotAllowedError(DOMException):
    """Permission was denied."""


class NotFoundError(DOMException):
    """There is no device of the kind that was asked for."""


class NotReadableError(DOMException):
    """The device exists and may be used, but can't be read: most often it is in use."""


class NotSupportedError(DOMException):
    """The operation is not supported."""


class OperationError(DOMException):
    """The operation failed for a reason of its own."""


class RTCError(OperationError):
    """Something of WebRTC failed (WebRTC 11.1).

    :param errorDetail: for example `sdp-syntax-error`.
    """

    def __init__(self, errorDetail: str, message: str = "") -> None:
        super().__init__(message)
        self.errorDetail = errorDetail

    @property
    def name(self) -> str:
        """The specification gives all of them this name."""
        return "OperationError"


class SecurityError(DOMException):
    """The operation is insecure."""


class UnknownError(DOMException):
    """The operation failed for an unknown, transient reason."""


class OverconstrainedError(DOMException):
    """No device or mode satisfies the required constraints (Media Capture and Streams 12).

    `constraint` names a constraint that nothing at hand satisfies, and is empty when each can be
    satisfied, but not all of them together.
    """

    def __init__(self, constraint: str, message: str = "") -> None:
        super().__init__(message)
        self._constraint = constraint

    @property
    def constraint(self) -> str:
        """The name of a constraint that nothing satisfies, or empty."""
        return self._constraint


_LEGACY_CODES = {
    "NotFoundError": 8,
    "NotSupportedError": 9,
    "InvalidStateError": 11,
    "InvalidModificationError": 13,
    "InvalidAccessError": 15,
    "SecurityError": 18,
    "AbortError": 20,
}
