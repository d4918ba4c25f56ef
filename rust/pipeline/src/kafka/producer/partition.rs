//! Which partition a key goes to: the Java client's placement, needed where we must know it before librdkafka does.

/// Kafka's murmur2 (32 bit, seed 0x9747b28c, as in the Java client's `Utils.murmur2`).
pub fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    // Keys are far below 4 GiB: librdkafka refuses more than 2 GiB.
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key among `count`, as `partitioner=murmur2_random` and the Java client choose it.
/// `None` without a key (any partition will do) or without partitions.
pub fn of_key(key: Option<&[u8]>, count: u32) -> Option<i32> {
    let partition = (murmur2(key?) & 0x7fff_ffff).checked_rem(count)?;
    i32::try_from(partition).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_java_clients_values() {
        // From the Java client's own test of Utils.murmur2.
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn no_key_and_no_partitions_have_no_answer() {
        assert_eq!(of_key(None, 6), None);
        assert_eq!(of_key(Some(b"a"), 0), None);
        assert!(of_key(Some(b""), 6).is_some());
    }
}
