//! Durations and sizes: an integer and a unit, as in `"30s"` and `"64MiB"`.

use std::time::Duration;

/// Parses a duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let rule =
        || "not a duration: write a whole number and ms, s, m, h or d, like \"30s\"".to_owned();
    let (number, unit) = split(text).ok_or_else(rule)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return Err(rule()),
    };
    let total = number.parse::<u64>().ok();
    let total = total.and_then(|number| number.checked_mul(milliseconds));
    total
        .map(Duration::from_millis)
        .ok_or_else(|| "too long to be counted in milliseconds".to_owned())
}

/// Parses a size in bytes: a whole number and `B`, `KiB`, `MiB`, `GiB` (1024) or `kB`, `MB`, `GB` (1000).
pub fn parse_size(text: &str) -> Result<usize, String> {
    let rule =
        || "not a size: write a whole number and B, KiB, MiB or GiB, like \"64MiB\"".to_owned();
    let (number, unit) = split(text).ok_or_else(rule)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(rule()),
    };
    let total = number.parse::<u64>().ok();
    let total = total.and_then(|number| number.checked_mul(bytes));
    total
        .and_then(|total| usize::try_from(total).ok())
        .ok_or_else(|| "too large to be counted in bytes".to_owned())
}

/// A duration in the greatest unit that divides it.
pub fn format_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ];
    for (unit, length) in units {
        if milliseconds >= length && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    format!("{milliseconds}ms")
}

/// A size in the greatest binary unit that divides it.
pub fn format_size(bytes: usize) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    (end > 0).then(|| (&text[..end], text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_and_sizes_are_read() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("5 m"), Ok(Duration::from_mins(5)));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("5MB"), Ok(5_000_000));
    }

    #[test]
    fn what_is_no_duration_or_size_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "+5s",
            "1e9d",
            "1.5s",
            "5S",
            "5 sec",
            "٣s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in [
            "",
            "5",
            "MiB",
            "-5MiB",
            "1.5GiB",
            "5mb",
            "5 bytes",
            "99999999999999999999B",
            "18446744073709551615GiB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(milliseconds in 0_u64..1 << 50, bytes in 0_usize..1 << 50) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
