"""`make images-test`: the compose files on a real Docker engine, each claim about them checked."""
