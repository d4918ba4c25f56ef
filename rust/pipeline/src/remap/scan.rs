//! What is checked in a program's text before the compiler sees it.

/// Longest source, in bytes.
const MAX_SOURCE: usize = 64 * 1024;

/// Deepest nesting of brackets: compiling and running recurse with it.
const MAX_NESTING: usize = 64;

/// A fault with its byte offset.
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) detail: String,
}

/// Refuses a program that is too long, too deep, or uses `return`.
pub(super) fn check(source: &str) -> Result<(), Fault> {
    if source.len() > MAX_SOURCE {
        return Err(Fault {
            at: 0,
            detail: format!(
                "the program has {} bytes, at most {MAX_SOURCE} are compiled",
                source.len()
            ),
        });
    }
    let mut depth = 0usize;
    let mut scanner = Scanner { source, at: 0 };
    while let Some(token) = scanner.next() {
        match token {
            Token::Open(at) => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(Fault {
                        at,
                        detail: format!("more than {MAX_NESTING} levels of brackets"),
                    });
                }
            }
            Token::Close => depth = depth.saturating_sub(1),
            Token::Word(at, "return") => {
                return Err(Fault {
                    at,
                    detail: "return is not supported, as it would leave . unchanged; assign the result to . instead"
                        .to_owned(),
                });
            }
            Token::Word(..) => {}
        }
    }
    Ok(())
}

/// Line and column of a byte offset, both counted from 1.
pub(super) fn place(source: &str, at: usize) -> String {
    let before = source.get(..at.min(source.len())).unwrap_or(source);
    let line = before.split('\n').count();
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |rest| rest.chars().count())
        + 1;
    format!("{line}:{column}")
}

enum Token<'s> {
    Open(usize),
    Close,
    /// A word that is neither part of a path nor of a literal.
    Word(usize, &'s str),
}

struct Scanner<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Scanner<'s> {
    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let at = self.at;
            let rest = &self.source[at..];
            let c = rest.chars().next()?;
            match c {
                '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
                '"' => self.quoted('"', 1),
                // Raw strings, regular expressions and timestamps: s'..', r'..', t'..'.
                's' | 'r' | 't' if rest[1..].starts_with('\'') => self.quoted('\'', 2),
                '(' | '[' | '{' => {
                    self.at += 1;
                    return Some(Token::Open(at));
                }
                ')' | ']' | '}' => {
                    self.at += 1;
                    return Some(Token::Close);
                }
                c if is_word(c) => {
                    let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                    self.at += length;
                    let in_path = self.source[..at].ends_with(['.', '%', '@']);
                    if !in_path {
                        return Some(Token::Word(at, &rest[..length]));
                    }
                }
                c => self.at += c.len_utf8(),
            }
        }
    }

    /// Passes over a literal that ends with `quote`, its opening being `opening` bytes long.
    fn quoted(&mut self, quote: char, opening: usize) {
        let mut chars = self.source[self.at + opening..].char_indices();
        while let Some((offset, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if c == quote {
                self.at += opening + offset + 1;
                return;
            }
        }
        self.at = self.source.len();
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
