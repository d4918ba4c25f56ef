"""From the API through Airflow and Kafka to Cassandra's rows."""
