"""Behind `make up`, `down`, `status` and their like: the servers may run here (devstack) or in containers (compose).

Run as `python -m compose VERB` with `python/` on the path. It needs nothing but the standard library, and is
not part of the wheel.
"""
