"""A stand-in for randomuser.me: the same answers in shape, seeded, paginated, and able to misbehave on demand.

`python -m millstream.sample_api` serves it; `SampleApi` serves it inside a test; `people` computes in this
process what a page holds, so that a checker needs no HTTP.
"""

from .people import MAX_RESULTS, people, person
from .rows import created_users_row
from .server import SampleApi

__all__ = ["MAX_RESULTS", "SampleApi", "created_users_row", "people", "person"]
