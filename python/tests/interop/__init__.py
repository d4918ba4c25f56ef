"""The wheel against real servers and the other implementations."""
