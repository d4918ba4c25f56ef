"""What can go wrong between make and the Docker engine: one line each, with what to do."""


class ComposeError(Exception):
    """A question to Docker was not answered, or what was asked for cannot be done.

    The text is one line for people. `retryable` says whether the same call may succeed later with nothing changed.
    """

    retryable = False


class NoEngineError(ComposeError):
    """Docker, its daemon or Compose is not there, or may not be used."""


class ModelError(ComposeError):
    """Docker Compose refuses the files or `.env`."""


class SlowError(ComposeError):
    """Docker did not answer in time."""

    retryable = True
