"""Users from Kafka to Cassandra, as a Structured Streaming job.

The rival and the oracle of `millstream-consumer`: the same topic, the same table.
With `--until-end` it takes what is in the topic and ends.
"""

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, from_json
from pyspark.sql.types import StringType, StructField, StructType

KAFKA = os.environ.get("MILLSTREAM_KAFKA", "localhost:9092")
CASSANDRA = os.environ.get("MILLSTREAM_CASSANDRA", "localhost:9042")
CHECKPOINT = os.environ.get("SPARK_CHECKPOINT", "/tmp/spark/users")
COLUMNS = (
    "id first_name last_name gender address post_code "
    "email username dob registered_date phone picture"
).split()

host, port = CASSANDRA.rsplit(":", 1)
spark = (
    SparkSession.builder.appName("users_to_cassandra")
    .config("spark.cassandra.connection.host", host)
    .config("spark.cassandra.connection.port", port)
    .getOrCreate()
)
records = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", KAFKA)
    .option("subscribe", "users_created")
    .option("startingOffsets", "earliest")
    .load()
)
user = StructType([StructField(name, StringType()) for name in COLUMNS])
value = from_json(col("value").cast("string"), user)
rows = records.select(value.alias("user")).select("user.*")
writer = (
    rows.writeStream.format("org.apache.spark.sql.cassandra")
    .option("keyspace", "spark_streams")
    .option("table", "created_users")
    .option("checkpointLocation", CHECKPOINT)
    .outputMode("append")
)
if "--until-end" in sys.argv:
    writer = writer.trigger(availableNow=True)
writer.start().awaitTermination()
