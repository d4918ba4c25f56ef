"""What can go wrong with the local servers: one line each, with what to do."""


class DevstackError(Exception):
    """A command on the local servers failed.

    The text is one line for people, except where the tail of a server's log follows it.
    `retryable` says whether the same call may succeed later with nothing changed.
    """

    retryable = False


class MissingToolError(DevstackError):
    """A program the stack needs is not installed."""


class FetchError(DevstackError):
    """The servers' files could not be fetched or unpacked."""

    retryable = True


class StartError(DevstackError):
    """A server ended, or did not answer before the deadline."""

    retryable = True


class StopError(DevstackError):
    """A process outlived SIGKILL and its deadline."""

    retryable = True


class StateError(DevstackError):
    """The folder's record of what runs cannot be read, or another command holds it."""


class RefusedError(DevstackError):
    """A server answered, and refused what was asked."""


class NotReadyError(DevstackError):
    """A server does not answer its protocol yet."""

    retryable = True
