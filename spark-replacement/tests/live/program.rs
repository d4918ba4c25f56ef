//! The program itself, with a folder and a configuration of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use millstream_testkit::live;
use tempfile::TempDir;

use crate::rig::Rig;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_mins(1);

pub(crate) struct Program {
    pub folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Whether a check ended so: `verdict` and what it looked at begin the line, and `part` stands in it.
    #[track_caller]
    pub(crate) fn assert_line(&self, begin: &str, part: &str) {
        let begin: Vec<_> = begin.split_whitespace().collect();
        let found = self.out.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.starts_with(&begin) && line.contains(part)
        });
        assert!(found, "{begin:?} with {part:?} is not in:\n{}", self.out);
    }
}

/// Addresses as a configuration has them, and one pipeline's topic and table.
pub(crate) struct Names<'n> {
    pub kafka: String,
    pub cassandra: String,
    pub topic: &'n str,
    pub dead_letters: &'n str,
    pub group: &'n str,
    pub table: String,
}

impl<'n> Names<'n> {
    pub(crate) fn of(rig: &'n Rig) -> Self {
        Self {
            kafka: live::address("MILLSTREAM_KAFKA"),
            cassandra: live::address("MILLSTREAM_CASSANDRA"),
            topic: &rig.topic,
            dead_letters: &rig.dead_letters,
            group: &rig.group,
            table: rig.table.to_string(),
        }
    }

    /// A configuration with lines in front of the pipeline and behind its table.
    pub(crate) fn config(&self, front: &str, behind: &str) -> String {
        format!(
            r#"
[kafka]
bootstrap_servers = ["{}"]
[cassandra]
contact_points = ["{}"]
[dead_letter]
topic = "{}"
{front}
[pipelines.users]
topics = ["{}"]
group_id = "{}"
value_format = "json"
[[pipelines.users.tables]]
table = "{}"
columns = {{ id = "id", name = "name", n = "n" }}
{behind}
"#,
            self.kafka, self.cassandra, self.dead_letters, self.topic, self.group, self.table
        )
    }
}

impl Program {
    pub(crate) fn new(config: &str) -> Self {
        let program = Self {
            folder: TempDir::new().unwrap(),
        };
        program.file("consumer.toml", config);
        program
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream-consumer"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command that goes on. Its log goes to `log` in the folder.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = self.command(args).stderr(log).spawn().unwrap();
        Running(child)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

/// A command that goes on; killed when the test is over.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill")
            .args([name, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
    }

    /// The exit status, waited for at most `limit`.
    pub(crate) fn ended(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        wait_for("the program's end", limit, || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

/// Looks until something is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, limit: Duration, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !so() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Status and body of a GET; `None` while nobody listens.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
