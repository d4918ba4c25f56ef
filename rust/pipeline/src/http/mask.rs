//! Texts in which no credential is left.

use super::fault::one_line;
use reqwest::Url;

const MASK: &str = "***";

/// Names of parameters whose values are credentials in the interfaces people fetch from.
const SECRET_WORDS: [&str; 11] = [
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "apikey",
    "accesskey",
    "signature",
    "credential",
    "authorization",
    "session",
];
/// Too short to be looked for inside other words.
const SECRET_NAMES: [&str; 5] = ["key", "sig", "auth", "pass", "code"];

/// Whether the value under this parameter or header name is a credential.
pub fn is_secret_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRET_WORDS.iter().any(|word| plain.contains(word))
        || SECRET_NAMES.contains(&plain.as_str())
        || name
            .split(['-', '_', '.'])
            .any(|part| SECRET_NAMES.contains(&part.to_ascii_lowercase().as_str()))
}

/// The URL for messages: user, password and the values of secret parameters are `***`; no fragment; one bounded line.
pub fn masked_url(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_fragment(None);
    // Either call fails only for URLs without a host, which hold no user.
    if !shown.username().is_empty() || shown.password().is_some() {
        let _ = shown.set_password(None);
        let _ = shown.set_username(MASK);
    }
    if shown.query_pairs().any(|(name, _)| is_secret_name(&name)) {
        let pairs: Vec<(String, String)> = shown
            .query_pairs()
            .map(|(name, value)| {
                let value = if is_secret_name(&name) {
                    MASK.into()
                } else {
                    value
                };
                (name.into_owned(), value.into_owned())
            })
            .collect();
        shown.query_pairs_mut().clear().extend_pairs(pairs);
    }
    one_line(shown.as_str())
}

/// What to show of a text that is not a URL but was given as one: everything before an `@` is hidden.
pub fn masked_text(text: &str) -> String {
    let line = one_line(text);
    match line.rsplit_once('@') {
        Some((before, after)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{MASK}@{after}"),
            None => format!("{MASK}@{after}"),
        },
        None => line,
    }
}

/// Hides credentials that an answer echoes. Values under four bytes are left: they would mask half of any text.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Remembers the values to hide.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut values: Vec<String> = values.into_iter().filter(|v| v.len() >= 4).collect();
        // The longest first, so that no remainder of it is left when a shorter one is part of it.
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        Self(values)
    }

    /// The text on one bounded line, without the secrets.
    pub fn hide(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for secret in &self.0 {
            shown = shown.replace(secret.as_str(), MASK);
        }
        one_line(&shown)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        masked_url(&Url::parse(text).unwrap())
    }

    #[test]
    fn urls_lose_their_credentials_and_nothing_else() {
        for (given, shown) in [
            (
                "https://u:pw@h.example/a?x=1",
                "https://***@h.example/a?x=1",
            ),
            ("https://tok3n@h.example/", "https://***@h.example/"),
            ("https://:pw@h.example/", "https://***@h.example/"),
            (
                "https://h.example/?results=5&seed=a%20b#frag",
                "https://h.example/?results=5&seed=a%20b",
            ),
            (
                "https://h.example/?api_key=s3cr3t&page=2",
                "https://h.example/?api_key=***&page=2",
            ),
            (
                "https://h.example/?X-Amz-Signature=ab",
                "https://h.example/?X-Amz-Signature=***",
            ),
            (
                "https://h.example/?access_token=ab",
                "https://h.example/?access_token=***",
            ),
            (
                "https://h.example/?subscription-key=ab",
                "https://h.example/?subscription-key=***",
            ),
            (
                "https://h.example/?monkey=1&keyboard=2",
                "https://h.example/?monkey=1&keyboard=2",
            ),
        ] {
            assert_eq!(masked(given), shown);
        }
    }

    #[test]
    fn long_urls_are_cut() {
        let shown = masked(&format!("https://h.example/?q={}", "x".repeat(5_000)));
        assert!(shown.len() < 250, "{}", shown.len());
    }

    #[test]
    fn what_is_not_a_url_is_masked_before_the_at() {
        assert_eq!(masked_text("htp//u:pw@h"), "***@h");
        assert_eq!(masked_text("x://u:p@w@h"), "x://***@h");
        assert_eq!(masked_text("no url"), "no url");
    }

    #[test]
    fn echoed_secrets_are_hidden() {
        let secrets = Secrets::new(["Bearer abcdef".into(), "abcdef".into(), "ab".into()]);
        assert_eq!(
            secrets.hide("bad header Bearer abcdef\nkey abcdef ab"),
            "bad header *** key *** ab"
        );
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
    }
}
