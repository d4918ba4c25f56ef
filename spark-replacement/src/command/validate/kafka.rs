//! Whether the brokers, topics and groups are there and fit the configuration.

use super::client::{Client, Trouble};
use super::report::Line;
use super::sample::{self, Sample};
use crate::command::topics::{TopicSettings, dead_letter_bytes};
use crate::config::{Config, PipelineConfig, Topics, closest, did_you_mean};
use millstream_pipeline::kafka::offsets::{Committed, Metadata};
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was found, and what the topics that are there hold.
#[derive(Debug, Default)]
pub(super) struct Kafka {
    pub(super) lines: Vec<Line>,
    /// Partitions of each topic of each pipeline, by the pipeline's name.
    pub(super) topics: BTreeMap<String, Vec<(String, i32)>>,
    /// Some last records of each topic.
    pub(super) samples: BTreeMap<String, Vec<Sample>>,
}

/// Looks at Kafka; blocks. Every question is given up after `timeout`.
pub(super) fn check(config: &Config, timeout: Duration) -> Kafka {
    let mut kafka = Kafka::default();
    let what = format!("kafka {}", config.kafka.bootstrap_servers.join(", "));
    let group = config
        .pipelines
        .first()
        .map_or("", |pipeline| &pipeline.group_id);
    let reached = Client::new(config, group, timeout)
        .and_then(|client| client.brokers().map(|found| (client, found)));
    let (client, (brokers, all_topics)) = match reached {
        Ok(reached) => reached,
        Err(trouble) => {
            kafka
                .lines
                .push(Line::fail(trouble.cause, what, trouble.reason));
            let reason = "no broker to ask";
            kafka.lines.push(Line::skip("topics and groups", reason));
            return kafka;
        }
    };
    let noun = if brokers.len() == 1 {
        "broker"
    } else {
        "brokers"
    };
    let reason = format!("{} {noun}: {}", brokers.len(), brokers.join(", "));
    kafka.lines.push(Line::ok(what, reason));
    for pipeline in &config.pipelines {
        kafka.topics_of(pipeline, &client, &all_topics);
    }
    if kafka.dead_letter_topic(config, &client) {
        kafka.dead_letters(config, &client);
    }
    for pipeline in &config.pipelines {
        kafka.group(config, pipeline, timeout);
    }
    for topic in kafka.topics.values().flatten() {
        let (name, partitions) = topic;
        if !kafka.samples.contains_key(name) {
            let found = sample::take(&client, name, *partitions);
            kafka.samples.insert(name.clone(), found);
        }
    }
    kafka
}

impl Kafka {
    fn topics_of(&mut self, pipeline: &PipelineConfig, client: &Client, all: &[String]) {
        let names: Vec<String> = match &pipeline.topics {
            Topics::Named(names) => names.clone(),
            Topics::Pattern(pattern) => {
                // It was compiled when the configuration was read.
                let regex = regex::Regex::new(pattern).ok();
                let matching = |name: &&String| regex.as_ref().is_some_and(|r| r.is_match(name));
                let names: Vec<_> = all.iter().filter(matching).cloned().collect();
                let what = format!("topics {pattern} of {}", pipeline.name);
                self.lines.push(if names.is_empty() {
                    Line::warn(what, "no topic matches; it waits until one is created")
                } else {
                    Line::ok(what, names.join(", "))
                });
                names
            }
        };
        let mut there = Vec::new();
        for name in names {
            let what = format!("topic {name} of {}", pipeline.name);
            match client.partitions(&name) {
                Ok(Some(count)) => {
                    let noun = if count == 1 {
                        "partition"
                    } else {
                        "partitions"
                    };
                    self.lines.push(Line::ok(what, format!("{count} {noun}")));
                    there.push((name, count));
                }
                Ok(None) => {
                    let hint = did_you_mean(closest(&name, all.iter().map(String::as_str)));
                    let reason = format!(
                        "does not exist; create it, or check pipelines.{}.topics{hint}",
                        pipeline.name
                    );
                    self.lines.push(Line::wrong(what, reason));
                }
                Err(trouble) => {
                    self.lines
                        .push(Line::fail(trouble.cause, what, trouble.reason));
                }
            }
        }
        self.topics.insert(pipeline.name.clone(), there);
    }

    /// Whether the dead-letter topic is there.
    fn dead_letter_topic(&mut self, config: &Config, client: &Client) -> bool {
        let topic = &config.dead_letter.topic;
        let what = format!("dead-letter topic {topic}");
        match client.partitions(topic) {
            Ok(Some(_)) => return true,
            Ok(None) if config.dead_letter.auto_create => {
                let reason = "does not exist yet; `run` creates it (dead_letter.auto_create)";
                self.lines.push(Line::ok(what, reason));
            }
            Ok(None) => {
                let bytes = dead_letter_bytes(config.limits.max_record_bytes, []);
                self.lines.push(Line::wrong(what, format!("does not exist; create it with max.message.bytes={bytes} or more and message.timestamp.type=LogAppendTime, or set dead_letter.auto_create = true")));
            }
            Err(trouble) => self
                .lines
                .push(Line::fail(trouble.cause, what, trouble.reason)),
        }
        false
    }

    /// Whether the dead-letter topic takes the largest record of every source.
    fn dead_letters(&mut self, config: &Config, client: &Client) {
        let topic = config.dead_letter.topic.as_str();
        let what = format!("dead-letter topic {topic}");
        let topics = self.topics.values().flatten();
        let mut names: Vec<&str> = topics.map(|(name, _)| name.as_str()).collect();
        names.push(topic);
        names.sort_unstable();
        names.dedup();
        let mut found = match client.topic_settings(&names) {
            Ok(found) => found,
            Err(trouble) => {
                let reason = format!(
                    "{}; check max.message.bytes and message.timestamp.type by hand",
                    trouble.reason
                );
                self.lines.push(Line::warn(what, reason));
                return;
            }
        };
        let settings = found.remove(topic).unwrap_or_default();
        let wanted = dead_letter_bytes(config.limits.max_record_bytes, found.into_values());
        let lines = check_dead_letters(&what, &settings, wanted);
        self.lines.extend(lines);
    }

    fn group(&mut self, config: &Config, pipeline: &PipelineConfig, timeout: Duration) {
        let what = format!("group {} of {}", pipeline.group_id, pipeline.name);
        let Some(topics) = self
            .topics
            .get(&pipeline.name)
            .filter(|topics| !topics.is_empty())
        else {
            self.lines
                .push(Line::skip(what, "none of its topics is there"));
            return;
        };
        let asked = Client::new(config, &pipeline.group_id, timeout)
            .and_then(|client| client.committed(topics));
        self.lines.extend(match asked {
            Err(trouble) => vec![Line::fail(trouble.cause, what, trouble.reason)],
            Ok(commits) => {
                let commits: Vec<_> = commits
                    .iter()
                    .filter(|one| matches!(one.offset, Offset::Offset(_)))
                    .map(|one| one.metadata.as_str())
                    .collect();
                let partitions = topics.iter().map(|(_, count)| i64::from(*count)).sum();
                vec![check_commits(what, &commits, partitions)]
            }
        });
    }
}

fn check_dead_letters(what: &str, settings: &TopicSettings, wanted: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    match settings.max_message_bytes {
        Some(bytes) if bytes < wanted => lines.push(Line::wrong(
            what,
            format!(
                "max.message.bytes is {bytes}, and the sources take larger records; set it to {wanted} or more (the largest source's or limits.max_record_bytes, and 64 KiB)"
            ),
        )),
        Some(_) => {}
        None => lines.push(Line::warn(
            what,
            format!("its max.message.bytes cannot be read; it must be {wanted} or more"),
        )),
    }
    match settings.timestamp_type.as_deref() {
        Some("LogAppendTime") => {}
        Some(other) => lines.push(Line::warn(
            what,
            format!(
                "message.timestamp.type is {other}: a wrong clock here makes retention delete dead letters early or late; set it to LogAppendTime"
            ),
        )),
        None => lines.push(Line::warn(
            what,
            "its message.timestamp.type cannot be read; it should be LogAppendTime",
        )),
    }
    if lines.is_empty() {
        let bytes = settings.max_message_bytes.unwrap_or_default();
        let reason = format!("takes records of {bytes} bytes, LogAppendTime");
        lines.push(Line::ok(what, reason));
    }
    lines
}

/// `commits` holds the metadata of the partitions that have a commit.
fn check_commits(what: String, commits: &[&str], partitions: i64) -> Line {
    let mut foreign = 0_usize;
    for metadata in commits {
        match Metadata::parse(metadata) {
            Ok(Committed::Ours(_)) => {}
            Ok(Committed::Foreign) => foreign += 1,
            Err(unknown) => return Line::wrong(what, unknown.to_string()),
        }
    }
    if commits.is_empty() {
        return Line::ok(what, "new: nothing is committed yet");
    }
    let count = commits.len();
    if foreign > 0 {
        return Line::warn(
            what,
            format!(
                "{foreign} of {count} commits are another program's: it goes on from there, with the clock as the first write stamp"
            ),
        );
    }
    Line::ok(
        what,
        format!("goes on from its commits in {count} of {partitions} partitions"),
    )
}

impl From<rdkafka::error::KafkaError> for Trouble {
    fn from(error: rdkafka::error::KafkaError) -> Self {
        Self::of(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    fn settings(bytes: usize, timestamp_type: &str) -> TopicSettings {
        TopicSettings {
            max_message_bytes: Some(bytes),
            timestamp_type: Some(timestamp_type.to_owned()),
        }
    }

    #[test]
    fn the_dead_letter_topic_must_take_what_the_sources_take() {
        let wanted = (1 << 20) + (64 << 10);
        let check = |settings: &TopicSettings| check_dead_letters("t", settings, wanted);
        assert_eq!(
            check(&settings(wanted, "LogAppendTime"))[0].verdict,
            Verdict::Ok
        );
        let small = check(&settings(wanted - 1, "LogAppendTime"));
        assert!(matches!(small[0].verdict, Verdict::Fail(_)) && small.len() == 1);
        assert!(small[0].reason.contains("set it to 1114112 or more"));
        let both = check(&settings(1, "CreateTime"));
        assert!(matches!(both[0].verdict, Verdict::Fail(_)));
        assert_eq!(both[1].verdict, Verdict::Warn);
        let unknown = check(&TopicSettings::default());
        assert!(unknown.iter().all(|line| line.verdict == Verdict::Warn));
        assert_eq!(unknown.len(), 2);
    }

    #[test]
    fn commits_are_ours_foreign_or_of_a_newer_build() {
        let ours = Metadata::new(0, 0, "").to_text();
        let newer = ours.replace("\"v\":1", "\"v\":2");
        let check = |commits: &[&str]| check_commits("g".to_owned(), commits, 6);
        assert_eq!(check(&[]).verdict, Verdict::Ok);
        let line = check(&[&ours, &ours]);
        assert_eq!(line.verdict, Verdict::Ok);
        assert!(line.reason.contains("2 of 6 partitions"));
        assert_eq!(check(&[&ours, ""]).verdict, Verdict::Warn);
        let line = check(&["", &newer]);
        assert!(matches!(line.verdict, Verdict::Fail(_)), "{line:?}");
        assert!(line.reason.contains("has version 2"));
    }
}
