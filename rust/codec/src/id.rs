//! Deterministic row ids: the same record has the same id, however often it is fetched, sent or read.

use uuid::Uuid;

/// Millstream's namespace for `UUIDv5` (RFC 9562, section 5.5): itself `UUIDv5` of the DNS namespace and `millstream`.
/// Never change it: every derived id would change with it.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x4ae1_1f3c_c2b5_5f2c_ab43_1c47_be5e_e196);

/// A user's id: `login_uuid` itself when it is a UUID (in any of its written forms), else `UUIDv5` of it.
pub fn user_id(login_uuid: &str) -> Uuid {
    own_or_named(login_uuid)
}

/// An event's id: its own (as it is when a UUID, else `UUIDv5` of it), else `UUIDv5` of `topic/partition/offset`. An empty
/// own id is none.
pub fn event_id(own: Option<&str>, topic: &str, partition: i32, offset: i64) -> Uuid {
    match own {
        Some(own) if !own.is_empty() => own_or_named(own),
        _ => named(&format!("{topic}/{partition}/{offset}")),
    }
}

fn own_or_named(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_else(|_| named(text))
}

fn named(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors made by Python's `uuid.uuid5`.
    #[test]
    fn ids_match_another_implementation() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"millstream"));
        assert_eq!(
            NAMESPACE.to_string(),
            "4ae11f3c-c2b5-5f2c-ab43-1c47be5ee196"
        );
        assert_eq!(
            user_id("not-a-uuid").to_string(),
            "485434de-e119-5863-b3bf-da782f90f2f4"
        );
        assert_eq!(
            user_id("ünïcode").to_string(),
            "04f0a6ed-83dd-594c-88a1-280a27ba9dc8"
        );
        assert_eq!(
            event_id(None, "users_created", 0, 0).to_string(),
            "62835056-75ab-505e-a7ac-71e78de6bc09"
        );
        assert_eq!(
            event_id(None, "raw_events", 5, 123_456_789).to_string(),
            "3d098d9d-8bf1-516d-aaa3-68c6015fbd2a"
        );
    }

    #[test]
    fn an_own_uuid_stays_itself() {
        let text = "7A0eed16-9430-4d68-901f-c0d4c1c3bf00";
        assert_eq!(user_id(text).to_string(), text.to_lowercase());
        assert_eq!(
            event_id(Some(text), "t", 0, 0).to_string(),
            text.to_lowercase()
        );
        assert_eq!(
            event_id(Some("e-1"), "t", 0, 0),
            event_id(Some("e-1"), "other", 1, 1)
        );
        assert_eq!(event_id(Some(""), "t", 0, 7), event_id(None, "t", 0, 7));
    }
}
