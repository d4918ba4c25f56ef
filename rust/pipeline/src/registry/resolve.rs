//! The schemas a schema refers to, in the order in which they can be parsed.

use super::wire::{Reference, SchemaDocument};
use millstream_codec::{Code, SchemaError};
use std::collections::HashSet;

/// More than any schema people write; a bound on what one id can make us ask for.
const LIMIT: usize = 100;

/// Why the references of a schema are not all there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unresolved<E> {
    /// The schema cannot be used as the registry has it.
    Unusable(SchemaError),
    /// They could not be asked for.
    Failed(E),
}

/// Only Avro is read by this client.
pub(super) fn check_type(document: &SchemaDocument) -> Result<(), SchemaError> {
    match document.schema_type.as_deref() {
        None | Some("AVRO") => Ok(()),
        Some(other) => Err(SchemaError {
            code: Code::SchemaTypeUnsupported,
            detail: format!("schema type {other:?}; only AVRO is read"),
        }),
    }
}

/// Collects the texts of all schemas that `root` refers to, directly or not, each once and before those that name it.
/// `fetch` gives `None` for a reference the registry does not have.
pub(super) async fn references<E, F>(
    root: &SchemaDocument,
    mut fetch: impl FnMut(Reference) -> F,
) -> Result<Vec<String>, Unresolved<E>>
where
    F: Future<Output = Result<Option<SchemaDocument>, E>>,
{
    let unsupported = |detail: String| {
        Unresolved::Unusable(SchemaError {
            code: Code::SchemaUnsupported,
            detail,
        })
    };
    let open =
        |document: &SchemaDocument| document.references.clone().unwrap_or_default().into_iter();
    let (mut ordered, mut seen) = (Vec::new(), HashSet::new());
    // A path from the root down: each schema's text (the root's is not ours to give) and its references still to visit.
    let mut path = vec![(None, open(root))];
    while let Some((text, rest)) = path.last_mut() {
        let Some(reference) = rest.next() else {
            ordered.extend(text.take());
            path.pop();
            continue;
        };
        if !seen.insert((reference.subject.clone(), reference.version)) {
            continue;
        }
        if seen.len() > LIMIT {
            return Err(unsupported(format!("more than {LIMIT} references")));
        }
        let found = fetch(reference.clone()).await.map_err(Unresolved::Failed)?;
        let Some(document) = found else {
            let Reference { subject, version } = reference;
            return Err(unsupported(format!(
                "refers to subject {subject:?} version {version}, which the registry does not have"
            )));
        };
        check_type(&document).map_err(Unresolved::Unusable)?;
        let rest = open(&document);
        path.push((Some(document.schema), rest));
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(schema: &str, references: &[&str]) -> SchemaDocument {
        SchemaDocument {
            schema: schema.to_owned(),
            schema_type: None,
            references: Some(
                references
                    .iter()
                    .map(|subject| reference(subject))
                    .collect(),
            ),
        }
    }

    fn reference(subject: &str) -> Reference {
        Reference {
            subject: subject.to_owned(),
            version: 1,
        }
    }

    async fn ordered(
        root: &[&str],
        edges: &[(&str, &[&str])],
    ) -> Result<Vec<String>, Unresolved<()>> {
        references(&document("root", root), |reference| {
            let found = edges.iter().find(|(name, _)| *name == reference.subject);
            let found = found.map(|(name, references)| document(name, references));
            async { Ok(found) }
        })
        .await
    }

    #[tokio::test]
    async fn a_schema_comes_after_what_it_names_and_once() {
        let diamond: &[(&str, &[&str])] =
            &[("b", &["d"]), ("c", &["d", "e"]), ("d", &[]), ("e", &[])];
        assert_eq!(
            ordered(&["b", "c"], diamond).await.unwrap(),
            ["d", "b", "e", "c"]
        );
        assert!(ordered(&[], diamond).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn circles_and_floods_end() {
        let circle: &[(&str, &[&str])] = &[("b", &["c"]), ("c", &["b"])];
        assert_eq!(ordered(&["b"], circle).await.unwrap(), ["c", "b"]);
        let mut next = 0;
        let flood = references(&document("root", &["0"]), |_| {
            next += 1;
            let found = document("x", &[&next.to_string()]);
            async { Ok::<_, ()>(Some(found)) }
        })
        .await;
        let Err(Unresolved::Unusable(error)) = flood else {
            panic!("{flood:?}")
        };
        assert_eq!(error.code, Code::SchemaUnsupported);
    }

    #[tokio::test]
    async fn a_missing_reference_is_named() {
        let Err(Unresolved::Unusable(error)) = ordered(&["b"], &[]).await else {
            panic!("found")
        };
        assert!(
            error.detail.contains(r#"subject "b" version 1"#),
            "{}",
            error.detail
        );
        let failed = references(&document("root", &["b"]), |_| async { Err("down") }).await;
        assert_eq!(failed.unwrap_err(), Unresolved::Failed("down"));
    }
}
