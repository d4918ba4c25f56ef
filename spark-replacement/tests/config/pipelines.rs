//! What belongs to one pipeline.

use crate::folder::{assert_fault, with, with_table};
use millstream_consumer::config::{Config, Overrides};

#[test]
fn pipelines_keep_their_own_groups_and_formats() {
    let two = |lines: &str| {
        with_table(&format!(
            "[pipelines.more]\ntopics = [\"t\"]\n{lines}\n[[pipelines.more.tables]]\ntable = \"a.b\"\ncolumns = {{ id = \"id\" }}"
        ))
    };
    assert_fault(
        &two("value_format = \"avro\""),
        &["pipelines.more.value_format", "needs [schema_registry]"],
    );
    let same = two("value_format = \"json\"\ngroup_id = \"millstream-users\"");
    let fault = same.fault();
    assert!(fault.contains("each pipeline needs its own"), "{fault}");
    assert_fault(
        &two("value_format = \"protobuf\""),
        &["not one of \"json\", \"avro\""],
    );
}

#[test]
fn only_the_pipelines_asked_for_are_kept() {
    let folder = with_table(
        "[pipelines.more]\ntopics = [\"t\"]\nvalue_format = \"json\"\n[[pipelines.more.tables]]\ntable = \"a.b\"\ncolumns = { id = \"id\" }",
    );
    let only = |names: &[&str]| {
        let pipelines = names.iter().map(|&name| name.to_owned()).collect();
        Config::load(&folder.path(), &folder.env, &Overrides { pipelines })
    };
    let config = only(&["more"]).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.pipelines.len(), 1);
    assert_eq!(config.pipelines[0].name, "more");
    let faults = only(&["user"])
        .expect_err("an unknown pipeline")
        .to_string();
    assert!(faults.contains("did you mean users?"), "{faults}");
}

#[test]
fn programs_come_inline_or_from_a_file() {
    let folder = with("pipelines.users", "remap_file = \"users.vrl\"");
    assert_fault(&folder, &["pipelines.users.remap_file", "cannot read"]);
    folder.file("users.vrl", ".a = 1 # ${NOT_SET}");
    let config = folder.config();
    let program = config.pipelines[0].remap.as_ref().expect("a program");
    assert_eq!(
        (program.name.as_str(), program.text.as_str()),
        ("users.vrl", ".a = 1 # ${NOT_SET}")
    );
    let both = with(
        "pipelines.users",
        "remap = '.a = 1'\nremap_file = \"users.vrl\"",
    );
    both.file("users.vrl", "");
    assert_fault(&both, &["not both"]);
}
