//! `tables plan` and `tables apply` on a real cluster.

use millstream_testkit::live;

use crate::program::{Names, Program};
use crate::rig::Rig;

/// A rig whose table is in a keyspace that does not exist, and its definition.
fn elsewhere(rig: &Rig) -> (Program, String) {
    let keyspace = live::fresh("made");
    let mut names = Names::of(rig);
    names.table = format!("{keyspace}.users");
    let program = Program::new(&names.config("", ""));
    program.file(
        "own.cql",
        &format!(
            "CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}};\n\
             -- one row a person\n\
             CREATE TABLE {keyspace}.users (id text PRIMARY KEY, name varchar, n int);\n\
             CREATE TABLE {keyspace}.unused (id text PRIMARY KEY);"
        ),
    );
    (program, keyspace)
}

#[tokio::test]
async fn what_is_missing_is_planned_applied_and_then_nothing_is_left_to_do() {
    let rig = Rig::new().await;
    let (program, keyspace) = elsewhere(&rig);
    let plan = program.run(&["tables", "plan", "--cql", "own.cql"]).await;
    assert_eq!(plan.code, 0, "{}", plan.err);
    assert_eq!(
        plan.out,
        format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}};\n\
             CREATE TABLE IF NOT EXISTS {keyspace}.users (id text PRIMARY KEY, name varchar, n int);\n"
        )
    );
    // Planning changed nothing: two that apply at once find the same to do, and both end well.
    let args = ["tables", "apply", "--cql", "own.cql"];
    let (one, other) = tokio::join!(program.run(&args), program.run(&args));
    assert_eq!((one.code, other.code), (0, 0), "{one:?} {other:?}");
    assert!(
        format!("{}{}", one.out, other.out).contains("CREATE TABLE IF NOT EXISTS"),
        "{one:?} {other:?}"
    );
    let again = program.run(&args).await;
    assert_eq!((again.code, again.out.as_str()), (0, "-- nothing to do\n"));

    live::cql(
        &rig.session,
        &format!("ALTER TABLE {keyspace}.users DROP n"),
    )
    .await;
    let added = program.run(&args).await;
    assert_eq!(added.code, 0, "{added:?}");
    assert_eq!(
        added.out,
        format!(
            "ALTER TABLE \"{keyspace}\".\"users\" ADD \"n\" int;\n-- done: all nodes agree on the schema\n"
        )
    );
    rig.session
        .query_unpaged(format!("SELECT id, name, n FROM {keyspace}.users"), ())
        .await
        .unwrap();
    let unused = rig
        .session
        .query_unpaged(format!("SELECT id FROM {keyspace}.unused"), ())
        .await;
    assert!(unused.is_err(), "no pipeline writes to it");
}

#[tokio::test]
async fn what_differs_is_refused_and_nothing_is_run() {
    let rig = Rig::new().await;
    let program = Program::new(&Names::of(&rig).config("", ""));
    let table = &rig.table;
    program.file(
        "own.cql",
        &format!(
            "CREATE TABLE {table} (id text, name text, n bigint, more text, PRIMARY KEY (id, n));"
        ),
    );
    let ran = program.run(&["tables", "apply", "--cql", "own.cql"]).await;
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(
        ran.err
            .contains("has the primary key ((id)), own.cql:1 defines ((id), n)"),
        "{ran:?}"
    );
    assert!(
        ran.err
            .contains("column n has type int, own.cql:1 defines bigint"),
        "{ran:?}"
    );
    assert_eq!(ran.out, "");
    let more = rig
        .session
        .query_unpaged(format!("SELECT more FROM {table}"), ())
        .await;
    assert!(more.is_err(), "the column must not have been added");
}

#[tokio::test]
async fn what_nobody_defines_is_said_and_a_table_that_fits_needs_no_definition() {
    let rig = Rig::new().await;
    let program = Program::new(&Names::of(&rig).config("", ""));
    let ran = program.run(&["tables", "plan"]).await;
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "-- nothing to do\n"),
        "{ran:?}"
    );
    live::cql(&rig.session, &format!("ALTER TABLE {} DROP n", rig.table)).await;
    let ran = program.run(&["tables", "plan"]).await;
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.contains("fills column n, which does not exist"),
        "{ran:?}"
    );
    live::cql(&rig.session, &format!("DROP TABLE {}", rig.table)).await;
    let ran = program.run(&["tables", "apply"]).await;
    assert_eq!(ran.code, 78);
    assert!(
        ran.err.contains("no CREATE TABLE for it was given"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_cluster_that_is_not_there_and_a_file_that_cannot_be_read_have_their_codes() {
    let rig = Rig::new().await;
    let mut names = Names::of(&rig);
    names.cassandra = format!("127.0.0.1:{}", crate::program::free_port());
    let program = Program::new(&names.config("", ""));
    let ran = program.run(&["tables", "plan", "--timeout", "2s"]).await;
    assert_eq!(ran.code, 69, "{ran:?}");
    assert!(ran.err.contains(&names.cassandra), "{ran:?}");
    let ran = program.run(&["tables", "plan", "--cql", "none.cql"]).await;
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(ran.err.contains("cannot read none.cql"), "{ran:?}");
    program.file("bad.cql", "DROP TABLE a.b;");
    let ran = program.run(&["tables", "apply", "--cql", "bad.cql"]).await;
    assert_eq!(ran.code, 78, "{ran:?}");
    assert!(
        ran.err.contains("cql: bad.cql:1: only CREATE KEYSPACE"),
        "{ran:?}"
    );
}
