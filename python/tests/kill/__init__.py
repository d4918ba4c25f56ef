"""The kill test: SIGKILL while records flow, then everything that was promised is counted from outside.

Nothing here shares code with what it judges: Kafka is read by confluent-kafka and a request of our own, Cassandra by
cassandra-driver, and what a row must hold is computed from what was sent.
"""
