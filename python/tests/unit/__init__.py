"""The wheel without servers: what it promises to a Python program."""
