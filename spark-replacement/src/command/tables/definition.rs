//! Tables as CQL files define them: `CREATE KEYSPACE` and `CREATE TABLE`, nothing else.

use super::token::{Kind, Token, tokens};
use millstream_pipeline::sink::TableName;
use millstream_pipeline::sink::table::is_identifier;
use std::collections::BTreeMap;

/// Why a CQL file cannot be used. Permanent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {detail}")]
pub(super) struct CqlError {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) detail: String,
}

/// A column as a file defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnDefinition {
    pub(super) name: String,
    /// As the server writes it: lower case, one blank behind each comma.
    pub(super) cql_type: String,
    pub(super) is_static: bool,
}

/// A table as a file defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableDefinition {
    pub(super) columns: Vec<ColumnDefinition>,
    pub(super) partition_key: Vec<String>,
    pub(super) clustering: Vec<String>,
    /// The statement, made safe to run twice, without its semicolon.
    pub(super) statement: String,
    /// `FILE:LINE`.
    pub(super) place: String,
}

/// A keyspace as a file defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyspaceDefinition {
    pub(super) statement: String,
    pub(super) place: String,
}

/// Everything that files define.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Definitions {
    pub(super) keyspaces: BTreeMap<String, KeyspaceDefinition>,
    /// By `keyspace.table`.
    pub(super) tables: BTreeMap<String, TableDefinition>,
}

impl Definitions {
    /// Adds what a file defines.
    pub(super) fn read(&mut self, file: &str, text: &str) -> Result<(), CqlError> {
        let error = |at: usize, detail: String| CqlError {
            file: file.to_owned(),
            line: text[..at].matches('\n').count() + 1,
            detail,
        };
        let all = tokens(text).map_err(|(what, at)| error(at, format!("{what} never ends")))?;
        for tokens in all.split(|token| token.is(";")) {
            let Some(first) = tokens.first() else {
                continue;
            };
            let place = format!("{file}:{}", text[..first.at].matches('\n').count() + 1);
            let statement = Statement {
                text,
                tokens,
                at: 0,
            };
            self.add(statement, place)
                .map_err(|(at, detail)| error(at, detail))?;
        }
        Ok(())
    }

    /// Takes over what this one does not define.
    pub(super) fn fall_back_on(&mut self, other: Self) {
        for (name, keyspace) in other.keyspaces {
            self.keyspaces.entry(name).or_insert(keyspace);
        }
        for (name, table) in other.tables {
            self.tables.entry(name).or_insert(table);
        }
    }

    fn add(&mut self, mut statement: Statement<'_>, place: String) -> Parsed<()> {
        let begin = statement.here();
        let twice =
            |name: &str, other: &str| (begin, format!("{name} is defined at {other} already"));
        if !statement.take("CREATE") {
            return Err(statement.unknown());
        }
        if statement.take("KEYSPACE") {
            let insert_at = statement.if_not_exists()?;
            let name = statement.name()?;
            if let Some(other) = self.keyspaces.get(&name) {
                return Err(twice(&format!("keyspace {name}"), &other.place));
            }
            let statement = statement.with(insert_at);
            self.keyspaces
                .insert(name, KeyspaceDefinition { statement, place });
        } else if statement.take("TABLE") || statement.take("COLUMNFAMILY") {
            let insert_at = statement.if_not_exists()?;
            let name = statement.table_name()?.to_string();
            if let Some(other) = self.tables.get(&name) {
                return Err(twice(&format!("table {name}"), &other.place));
            }
            let body = statement.body()?;
            let table = body.table(statement.with(insert_at), place, begin)?;
            self.tables.insert(name, table);
        } else {
            return Err(statement.unknown());
        }
        Ok(())
    }
}

/// What is wrong comes with its byte offset.
type Parsed<T> = Result<T, (usize, String)>;

/// One statement while it is read.
struct Statement<'t> {
    text: &'t str,
    tokens: &'t [Token<'t>],
    at: usize,
}

/// What stands between the parentheses of a table.
#[derive(Default)]
struct Body {
    columns: Vec<ColumnDefinition>,
    partition_key: Vec<String>,
    clustering: Vec<String>,
}

impl<'t> Statement<'t> {
    fn peek(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token<'t>> {
        let token = self.peek().copied();
        self.at += 1;
        token
    }

    /// Byte offset of the next token; of the statement's end when there is none.
    fn here(&self) -> usize {
        let end = || self.tokens.last().map_or(0, Token::end);
        self.peek().map_or_else(end, |token| token.at)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(word));
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        let here = self.here();
        if self.take(word) {
            return Ok(());
        }
        let found = self
            .peek()
            .map_or("the statement's end", |token| token.text);
        Err((here, format!("{word} expected, not {found}")))
    }

    fn unknown(&self) -> (usize, String) {
        let begin = self.tokens.first().map_or(0, |token| token.at);
        let words = self.tokens.iter().take(2).map(|token| token.text);
        let words = words.collect::<Vec<_>>().join(" ");
        let detail = format!(
            "only CREATE KEYSPACE and CREATE TABLE are understood, not {words}; run it by hand"
        );
        (begin, detail)
    }

    /// Where `IF NOT EXISTS` has to be inserted, if it is not there.
    fn if_not_exists(&mut self) -> Parsed<Option<usize>> {
        if !self.take("IF") {
            return Ok(Some(self.here()));
        }
        self.expect("NOT")?;
        self.expect("EXISTS")?;
        Ok(None)
    }

    /// The statement's text, made safe to run twice.
    fn with(&self, insert_at: Option<usize>) -> String {
        let begin = self.tokens.first().map_or(0, |token| token.at);
        let end = self.tokens.last().map_or(0, Token::end);
        match insert_at {
            None => self.text[begin..end].to_owned(),
            Some(at) => format!(
                "{}IF NOT EXISTS {}",
                &self.text[begin..at],
                &self.text[at..end]
            ),
        }
    }

    /// An identifier: lower case unless it is quoted.
    fn name(&mut self) -> Parsed<String> {
        let here = self.here();
        let name = match self.next() {
            Some(token) if token.kind == Kind::Word => token.text.to_ascii_lowercase(),
            Some(token) if token.kind == Kind::Quoted => {
                token.text[1..token.text.len() - 1].replace("\"\"", "\"")
            }
            Some(token) => return Err((here, format!("a name expected, not {}", token.text))),
            None => return Err((here, "a name expected, not the statement's end".to_owned())),
        };
        if !is_identifier(&name) {
            let detail = format!("{name:?} is not a name of ^[a-zA-Z][a-zA-Z0-9_]{{0,47}}$");
            return Err((here, detail));
        }
        Ok(name)
    }

    fn table_name(&mut self) -> Parsed<TableName> {
        let here = self.here();
        let keyspace = self.name()?;
        if !self.take(".") {
            return Err((here, format!("write the keyspace too: KEYSPACE.{keyspace}")));
        }
        let table = self.name()?;
        TableName::parse(&format!("{keyspace}.{table}")).map_err(|error| (here, error.to_string()))
    }

    fn names_until_closed(&mut self) -> Parsed<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.take(",") {
            names.push(self.name()?);
        }
        self.expect(")")?;
        Ok(names)
    }

    fn body(&mut self) -> Parsed<Body> {
        let mut body = Body::default();
        self.expect("(")?;
        loop {
            let here = self.here();
            let primary = self.peek().is_some_and(|token| token.is("PRIMARY"))
                && self
                    .tokens
                    .get(self.at + 1)
                    .is_some_and(|token| token.is("KEY"));
            if primary {
                self.at += 2;
                self.expect("(")?;
                let key = if self.take("(") {
                    let partition_key = self.names_until_closed()?;
                    let clustering = if self.take(",") {
                        self.names_until_closed()?
                    } else {
                        self.expect(")")?;
                        Vec::new()
                    };
                    (partition_key, clustering)
                } else {
                    let mut names = self.names_until_closed()?;
                    let clustering = names.split_off(1);
                    (names, clustering)
                };
                body.set_key(key, here)?;
            } else {
                self.column(&mut body)?;
            }
            if self.take(")") {
                return Ok(body);
            }
            self.expect(",")?;
        }
    }

    fn column(&mut self, body: &mut Body) -> Parsed<()> {
        let here = self.here();
        let name = self.name()?;
        if body.columns.iter().any(|column| column.name == name) {
            return Err((here, format!("column {name} is defined twice")));
        }
        let cql_type = self.cql_type()?;
        let is_static = self.take("STATIC");
        if self.take("PRIMARY") {
            self.expect("KEY")?;
            body.set_key((vec![name.clone()], Vec::new()), here)?;
        }
        body.columns.push(ColumnDefinition {
            name,
            cql_type,
            is_static,
        });
        Ok(())
    }

    /// A type, written as the server writes it.
    fn cql_type(&mut self) -> Parsed<String> {
        let here = self.here();
        let mut text = String::new();
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            let ends = token.is(",") || token.is(")") || token.is("STATIC") || token.is("PRIMARY");
            if depth == 0 && (ends || !text.is_empty() && !token.is("<")) {
                break;
            }
            match token.text {
                "<" => depth += 1,
                ">" if depth > 0 => depth -= 1,
                _ => {}
            }
            match (token.kind, token.text) {
                (Kind::Quoted, quoted) => text.push_str(quoted),
                (Kind::Word, word) => text.push_str(&word.to_ascii_lowercase()),
                (Kind::Symbol, ",") => text.push_str(", "),
                (Kind::Symbol, "<" | ">" | ".") => text.push_str(token.text),
                (_, other) => return Err((token.at, format!("a type expected, not {other}"))),
            }
            self.at += 1;
        }
        if text.is_empty() || depth > 0 {
            return Err((here, "a type expected".to_owned()));
        }
        Ok(canonical_type(&text))
    }
}

impl Body {
    fn set_key(&mut self, key: (Vec<String>, Vec<String>), at: usize) -> Parsed<()> {
        if !self.partition_key.is_empty() {
            return Err((at, "a second primary key".to_owned()));
        }
        (self.partition_key, self.clustering) = key;
        Ok(())
    }

    fn table(self, statement: String, place: String, at: usize) -> Parsed<TableDefinition> {
        if self.partition_key.is_empty() {
            return Err((at, "the table has no PRIMARY KEY".to_owned()));
        }
        for part in self.partition_key.iter().chain(&self.clustering) {
            if !self.columns.iter().any(|column| column.name == *part) {
                let detail = format!("the primary key names {part}, which is not a column");
                return Err((at, detail));
            }
        }
        Ok(TableDefinition {
            columns: self.columns,
            partition_key: self.partition_key,
            clustering: self.clustering,
            statement,
            place,
        })
    }
}

/// One spelling for types that are the same.
pub(super) fn canonical_type(text: &str) -> String {
    let mut spelled = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, spelled: &mut String| {
        spelled.push_str(if word == "varchar" { "text" } else { word });
        word.clear();
    };
    for c in text.chars() {
        match c {
            '<' | '>' | '.' => {
                flush(&mut word, &mut spelled);
                spelled.push(c);
            }
            ',' => {
                flush(&mut word, &mut spelled);
                spelled.push_str(", ");
            }
            ' ' => flush(&mut word, &mut spelled),
            c => word.push(c),
        }
    }
    flush(&mut word, &mut spelled);
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Definitions, String> {
        let mut definitions = Definitions::default();
        let read = definitions.read("f.cql", text);
        read.map(|()| definitions)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn keyspaces_and_tables_are_read_with_their_keys_and_types() {
        let definitions = read(
            "-- two\nCREATE KEYSPACE Ks WITH replication = {'class': 'SimpleStrategy', 'x': ';'};\n\
             create table ks.\"Events\" (\n  Day date, at TIMESTAMP, kind varchar,\n  \"Tags\" map<text,frozen<list<int>>>, owner text static,\n\
             primary key ((day, kind), at)\n) with clustering order by (at desc) and comment = 'a)';",
        )
        .unwrap();
        assert_eq!(
            definitions.keyspaces["ks"].statement,
            "CREATE KEYSPACE IF NOT EXISTS Ks WITH replication = {'class': 'SimpleStrategy', 'x': ';'}"
        );
        let events = &definitions.tables["ks.Events"];
        assert_eq!(events.partition_key, ["day", "kind"]);
        assert_eq!(events.clustering, ["at"]);
        assert_eq!(events.place, "f.cql:3");
        let columns: Vec<_> = events
            .columns
            .iter()
            .map(|column| {
                (
                    column.name.as_str(),
                    column.cql_type.as_str(),
                    column.is_static,
                )
            })
            .collect();
        assert_eq!(
            columns,
            [
                ("day", "date", false),
                ("at", "timestamp", false),
                ("kind", "text", false),
                ("Tags", "map<text, frozen<list<int>>>", false),
                ("owner", "text", true),
            ]
        );
        assert!(
            events
                .statement
                .starts_with("create table IF NOT EXISTS ks.\"Events\" (")
        );
        assert!(events.statement.ends_with("comment = 'a)'"));
    }

    #[test]
    fn a_key_beside_its_column_and_a_statement_that_is_safe_already() {
        let text = "CREATE TABLE IF NOT EXISTS a.b (id uuid PRIMARY KEY, n int)";
        let definitions = read(text).unwrap();
        assert_eq!(definitions.tables["a.b"].partition_key, ["id"]);
        assert_eq!(definitions.tables["a.b"].statement, text);
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_line() {
        for (text, error) in [
            (
                "\nDROP TABLE a.b;",
                "f.cql:2: only CREATE KEYSPACE and CREATE TABLE are understood, not DROP TABLE; run it by hand",
            ),
            (
                "CREATE INDEX ON a.b (c);",
                "f.cql:1: only CREATE KEYSPACE and CREATE TABLE are understood, not CREATE INDEX; run it by hand",
            ),
            (
                "CREATE TABLE b (id int PRIMARY KEY);",
                "f.cql:1: write the keyspace too: KEYSPACE.b",
            ),
            (
                "CREATE TABLE a.b (id int);",
                "f.cql:1: the table has no PRIMARY KEY",
            ),
            (
                "CREATE TABLE a.b (id int, PRIMARY KEY (x));",
                "f.cql:1: the primary key names x, which is not a column",
            ),
            (
                "CREATE TABLE a.b (id int, id text, PRIMARY KEY (id));",
                "f.cql:1: column id is defined twice",
            ),
            (
                "CREATE TABLE a.b (id int PRIMARY KEY);\nCREATE TABLE a.b (id int PRIMARY KEY);",
                "f.cql:2: table a.b is defined at f.cql:1 already",
            ),
            (
                "CREATE TABLE a.b (id PRIMARY KEY);",
                "f.cql:1: a type expected",
            ),
            (
                "CREATE TABLE a.b (id list<int PRIMARY KEY);",
                "f.cql:1: a type expected, not )",
            ),
            (
                "CREATE TABLE a.b (id int MASKED WITH DEFAULT, PRIMARY KEY (id));",
                "f.cql:1: , expected, not MASKED",
            ),
            ("CREATE TABLE a.b (id int", "f.cql:1: , expected"),
            ("CREATE TABLE a.", "f.cql:1: a name expected"),
            ("CREATE KEYSPACE 'x'", "f.cql:1: a name expected, not 'x'"),
            (
                "CREATE KEYSPACE \"a\"\"b\"",
                "f.cql:1: \"a\\\"b\" is not a name",
            ),
            ("CREATE 'x", "f.cql:1: a text never ends"),
        ] {
            let found = read(text).expect_err(text);
            assert!(found.starts_with(error), "{text}: {found}");
        }
    }

    #[test]
    fn types_have_one_spelling() {
        assert_eq!(canonical_type("map<varchar,int>"), "map<text, int>");
        assert_eq!(
            canonical_type("frozen<list<varchar>>"),
            "frozen<list<text>>"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(CREATE|TABLE|IF NOT EXISTS|a\\.b|\\(|\\)|<|>|,|int|PRIMARY KEY|;|'|\"| |\n|é){0,24}") {
            let _ = read(&text);
        }
    }
}
