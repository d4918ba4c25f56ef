//! Creates the dead-letter topic where `dead_letter.auto_create` asks for it.

use super::topics;
use crate::config::{Config, Topics};
use crate::settings;
use millstream_pipeline::retry::Backoff;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Partitions of a topic that is created.
const PARTITIONS: i32 = 6;
/// The broker's own default.
const REPLICATION: i32 = -1;
/// Limit of one attempt.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Tries until the topic is there or `shutdown` comes. Safe beside other processes that do the same.
pub(super) async fn create_when_missing(config: Config, shutdown: CancellationToken) {
    let topic = &config.dead_letter.topic;
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    loop {
        let error = match create(&config).await {
            Ok(true) => {
                info!(%topic, partitions = PARTITIONS, "created the dead-letter topic");
                return;
            }
            Ok(false) => return,
            Err(error) => error,
        };
        if backoff.attempts() == 0 {
            warn!(%topic, %error, "the dead-letter topic cannot be created yet");
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next(rand::random())) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Whether it was created; `false` when it was there.
async fn create(config: &Config) -> Result<bool, KafkaError> {
    let client = settings::kafka_admin(config);
    let bytes = size(config, &client).await.to_string();
    let admin: AdminClient<DefaultClientContext> = client.create()?;
    let topic = NewTopic::new(
        &config.dead_letter.topic,
        PARTITIONS,
        TopicReplication::Fixed(REPLICATION),
    )
    .set("max.message.bytes", &bytes)
    .set("message.timestamp.type", "LogAppendTime");
    let options = AdminOptions::new().request_timeout(Some(ATTEMPT));
    for created in admin.create_topics(&[topic], &options).await? {
        match created {
            Ok(_) => {}
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(false),
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    Ok(true)
}

/// Large enough for what the sources that are named and there may hold.
async fn size(config: &Config, client: &rdkafka::ClientConfig) -> usize {
    let pipelines = config.pipelines.iter();
    let names: Vec<&str> = pipelines
        .filter_map(|pipeline| match &pipeline.topics {
            Topics::Named(names) => Some(names),
            Topics::Pattern(_) => None,
        })
        .flatten()
        .map(String::as_str)
        .collect();
    // Without an answer the configuration's own limit stands; `validate` compares again.
    let sources = match names.as_slice() {
        [] => HashMap::new(),
        names => topics::settings(client, names, ATTEMPT)
            .await
            .unwrap_or_default(),
    };
    topics::dead_letter_bytes(config.limits.max_record_bytes, sources.into_values())
}
