"""The compose files and what make asks of them, without an engine."""
