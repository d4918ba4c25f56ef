"""`make demo`: the whole pipeline on this machine, one line per phase, every number checked.

Run as `python -m demo` with `python/` on the path. It is not part of the wheel.
"""
