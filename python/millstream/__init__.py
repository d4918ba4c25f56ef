"""Millstream: fetch, map, encode, produce and write records from Python, with the work done in Rust."""
