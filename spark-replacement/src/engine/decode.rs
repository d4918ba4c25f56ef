//! A record's bytes to what its tables take: cells on the direct path, trees where a program runs.

use millstream_codec::avro::AvroSchema;
use millstream_codec::{Cell, Code, DecodeError, Value, frame, json};
use millstream_pipeline::kafka::consumer::Record;
use millstream_pipeline::kafka::offsets::Filter;
use millstream_pipeline::registry::RegistryClient;
use millstream_pipeline::remap::{KafkaFacts, Remapped};
use std::sync::Arc;

use super::dead::{Fault, Planned};
use super::plan::{Plan, Slots, ValueFormat};

/// A value with the schema it was written with, where it has one.
pub(super) struct Payload<'a> {
    bytes: &'a [u8],
    schema: Option<Arc<AvroSchema>>,
}

/// Looks at the frame and fetches the writer's schema; waits for the registry alone.
pub(super) async fn open<'a>(
    plan: &Plan,
    registry: Option<&RegistryClient>,
    bytes: &'a [u8],
) -> Result<Payload<'a>, Fault> {
    match plan.value_format {
        ValueFormat::Json => Ok(Payload {
            bytes,
            schema: None,
        }),
        ValueFormat::Avro => {
            let (id, datum) = frame::split(bytes)?;
            let Some(registry) = registry else {
                let reason = "value_format = \"avro\" needs [schema_registry]".to_owned();
                return Err(Fault::Wait {
                    configuration: true,
                    reason,
                });
            };
            let schema = match registry.cached(id) {
                Some(schema) => schema,
                None => Box::pin(registry.avro_schema(id)).await?,
            };
            Ok(Payload {
                bytes: datum,
                schema: Some(schema),
            })
        }
    }
}

impl<'a> Payload<'a> {
    /// The tables' cells without a tree.
    pub(super) fn project(&self, slots: &Slots) -> Result<Vec<Option<Cell<'a>>>, DecodeError> {
        match &self.schema {
            None => json::project(self.bytes, &slots.projection),
            Some(schema) => schema.project(self.bytes, &slots.projection),
        }
    }

    fn tree(&self) -> Result<Value, DecodeError> {
        let value = match &self.schema {
            None => json::decode(self.bytes)?,
            Some(schema) => schema.decode(self.bytes)?,
        };
        if value.is_object() {
            Ok(value)
        } else {
            Err(DecodeError {
                code: Code::NotAnObject,
                detail: format!("the value is {}, not an object", value.kind_str()),
            })
        }
    }

    /// The rows that the filter and the program make of the record.
    pub(super) fn remap(&self, plan: &Plan, record: &Record) -> Planned<Vec<Value>> {
        let mut value = self.tree()?;
        let facts = facts(record);
        if let Some(filter) = &plan.filter {
            match filter.run(value.clone(), Some(&facts))? {
                Remapped::One(_) => {}
                _ => return Ok(Err(Filter::Rule)),
            }
        }
        let Some(program) = &plan.program else {
            return Ok(Ok(vec![value]));
        };
        value = match program.run(value, Some(&facts))? {
            Remapped::One(value) => value,
            Remapped::Many(values) => return Ok(Ok(values)),
            Remapped::Filtered => return Ok(Err(Filter::Rule)),
        };
        Ok(Ok(vec![value]))
    }
}

fn facts(record: &Record) -> KafkaFacts {
    KafkaFacts {
        topic: record.topic.to_string(),
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms.unwrap_or(0),
        key: record.key.clone(),
        headers: record.headers.named.clone(),
    }
}
