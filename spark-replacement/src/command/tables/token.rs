//! CQL text as tokens: enough to tell statements, names and types apart without looking into strings and comments.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, digits, underscores.
    Word,
    /// `"…"`: a name in its own case.
    Quoted,
    /// `'…'` or `$$…$$`.
    Text,
    /// One other character.
    Symbol,
}

/// A piece of CQL and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// Byte offset of its begin.
    pub(super) at: usize,
}

impl Token<'_> {
    /// Whether it is this keyword or symbol.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Symbol) && self.text.eq_ignore_ascii_case(word)
    }

    /// Byte offset behind its end.
    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

/// Cuts a text into tokens; comments and blanks are left out. The error is what never ends, and where it begins.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, (&'static str, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if rest.starts_with("--") || rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if rest.starts_with("/*") {
            at += closing(rest, "/*", "*/").ok_or(("a comment", at))?;
            continue;
        }
        let (kind, len) = if rest.starts_with("$$") {
            (Kind::Text, closing(rest, "$$", "$$").ok_or(("a text", at))?)
        } else if first == '\'' {
            (Kind::Text, quoted(rest, '\'').ok_or(("a text", at))?)
        } else if first == '"' {
            (Kind::Quoted, quoted(rest, '"').ok_or(("a name", at))?)
        } else if is_word(first) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (Kind::Word, len)
        } else {
            (Kind::Symbol, first.len_utf8())
        };
        found.push(Token {
            kind,
            text: &rest[..len],
            at,
        });
        at += len;
    }
    Ok(found)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Length of `open … close`.
fn closing(rest: &str, open: &str, close: &str) -> Option<usize> {
    let end = rest[open.len()..].find(close)?;
    Some(open.len() + end + close.len())
}

/// Length of a quoted text in which a doubled quote stands for one.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut at = 1;
    loop {
        at += rest[at..].find(quote)? + 1;
        if !rest[at..].starts_with(quote) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<&str> {
        let tokens = tokens(text).expect("tokens");
        tokens.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn strings_names_and_comments_keep_their_semicolons() {
        let text = "a -- ;\n'x;''y' /* ; */ \"n\"\"m;\" // ;\n$$;'$$ b;";
        assert_eq!(
            texts(text),
            ["a", "'x;''y'", "\"n\"\"m;\"", "$$;'$$", "b", ";"]
        );
    }

    #[test]
    fn what_never_ends_is_named() {
        assert_eq!(tokens("a 'x''"), Err(("a text", 2)));
        assert_eq!(tokens("\"x"), Err(("a name", 0)));
        assert_eq!(tokens("/* "), Err(("a comment", 0)));
        assert_eq!(tokens("/*/"), Err(("a comment", 0)));
    }

    proptest! {
        #[test]
        fn any_text_is_cut_or_refused(text in "(?s)[-/*'\"$;a-zé \n]{0,40}") {
            if let Ok(tokens) = tokens(&text) {
                for token in tokens {
                    prop_assert_eq!(&text[token.at..token.end()], token.text);
                }
            }
        }
    }
}
