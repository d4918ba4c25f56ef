#!/usr/bin/env bash
# Kafka's tools by the names of its archive: each link to this file runs the class of its name.
set -eu
case "$(basename "$0")" in
  kafka-topics.sh) class=org.apache.kafka.tools.TopicCommand ;;
  kafka-configs.sh) class=kafka.admin.ConfigCommand ;;
  kafka-consumer-groups.sh) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
  kafka-console-consumer.sh) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
  kafka-console-producer.sh) class=org.apache.kafka.tools.ConsoleProducer ;;
  kafka-broker-api-versions.sh) class=org.apache.kafka.tools.BrokerApiVersionsCommand ;;
  kafka-server-start.sh) class=kafka.Kafka; heap=${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G} ;;
  *) class=$1; shift ;;
esac
level=error
[[ $class == kafka.Kafka ]] && level=info
# Word splitting is meant: the variables hold several options each.
# shellcheck disable=SC2086
exec java ${heap:-${KAFKA_HEAP_OPTS:--Xmx256M}} -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true \
  -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.defaultLogLevel=$level ${KAFKA_OPTS:-} \
  -cp '/opt/kafka/libs/*' "$class" "$@"
