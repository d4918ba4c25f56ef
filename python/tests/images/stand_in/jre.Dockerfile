# Java and a shell: what the images of Kafka, Cassandra and the registry stand on.
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless iproute2 procps \
 && rm -rf /var/lib/apt/lists/*
