//! Identities on the wire: messages, clients, users, epochs.

use crate::inline::{Alphabet, Inline, inline_text};

const ID: Alphabet = Alphabet::alphanumeric_and(b"_.:-");
const USER: Alphabet = Alphabet::alphanumeric_and(b"_.@+-");
const LOWER: Alphabet = Alphabet::lower_and_digits();

inline_text! {
    /// The idempotency key of a message or command: 1–64 bytes of `[A-Za-z0-9_.:-]`.
    MessageId, 64, |b| ID.spells(b),
    "an id is 1 to 64 of A-Z a-z 0-9 _ . : -", r"^[A-Za-z0-9_.:-]{1,64}$"
}

/// Names the message that an answer belongs to.
pub type CorrelationId = MessageId;

inline_text! {
    /// A connection's identity, made by the server: `c_…`, or `n_…` for a node of the bus itself.
    ClientId, 34, is_client_id,
    "a client id is c_ or n_ and 8 to 32 of a-z 0-9", r"^[cn]_[a-z0-9]{8,32}$"
}

inline_text! {
    /// The principal that a client acts for: 1–64 bytes of `[A-Za-z0-9_.@+-]`, without a leading `_`.
    UserId, 64, |b| b[0] != b'_' && USER.spells(b),
    "a user id is 1 to 64 of A-Z a-z 0-9 _ . @ + - and does not begin with _", r"^[A-Za-z0-9.@+-][A-Za-z0-9_.@+-]{0,63}$"
}

inline_text! {
    /// One unbroken life of a topic's log. Opaque: compare it, never order it.
    Epoch, 16, |b| LOWER.spells(b),
    "an epoch is 1 to 16 of a-z 0-9", r"^[a-z0-9]{1,16}$"
}

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Epoch {
    /// Names the epoch of `number`, in base 32.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        base32(u128::from(number), 13).parse().expect("base 32 is a-z 0-9")
    }

    /// The number that it names, where it is the name of one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let digit = |byte: u8| BASE32.iter().position(|digit| *digit == byte).map(|digit| digit as u64);
        let number = self.as_str().bytes().try_fold(0_u64, |number, byte| Some((number << 5) | digit(byte)?))?;
        (Self::from_number(number) == *self).then_some(number)
    }
}

impl ClientId {
    /// Names a client by 100 of the given random bits.
    #[must_use]
    pub fn client(random: u128) -> Self {
        format!("c_{}", base32(random, 20)).parse().expect("base 32 is a-z 0-9")
    }

    /// Names a node of the bus by 60 of the given random bits.
    #[must_use]
    pub fn node(random: u64) -> Self {
        format!("n_{}", base32(u128::from(random), 12)).parse().expect("base 32 is a-z 0-9")
    }
}

impl MessageId {
    /// Makes `arq_` + ULID from the wall clock in Unix milliseconds and 80 random bits.
    #[must_use]
    pub fn ulid(unix_ms: u64, random: u128) -> Self {
        let mut text = *b"arq_00000000000000000000000000";
        // 48 bits in 10 digits, then twice 40 bits in 8.
        for (number, digits) in [(unix_ms & ((1 << 48) - 1), 4..14), ((random >> 40) as u64, 14..22), (random as u64, 22..30)] {
            for (place, digit) in digits.rev().enumerate() {
                text[digit] = BASE32[(number >> (5 * place)) as usize & 31].to_ascii_uppercase();
            }
        }
        Self(Inline::ascii(&text).unwrap_or_else(|| unreachable!("base 32 is A-Z 0-9")))
    }
}

/// The lowest `5 × digits` bits of `number` in Crockford's base 32, most significant first.
fn base32(number: u128, digits: u32) -> String {
    (0..digits).rev().map(|digit| char::from(BASE32[((number >> (5 * digit)) & 31) as usize])).collect()
}

fn is_client_id(bytes: &[u8]) -> bool {
    let Some((prefix, rest)) = bytes.split_at_checked(2) else { return false };
    (prefix == b"c_" || prefix == b"n_") && (8..=32).contains(&rest.len()) && LOWER.spells(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_are_valid_and_sort_by_time() {
        let early = MessageId::ulid(1_700_000_000_000, u128::MAX);
        let late = MessageId::ulid(1_700_000_000_001, 0);
        assert!(early < late, "{early} {late}");
        assert_eq!(early.as_str().len(), 30);
        assert_eq!(ClientId::client(u128::MAX).as_str(), "c_zzzzzzzzzzzzzzzzzzzz");
        assert_eq!(Epoch::from_number(0).as_str().len(), 13);
        for number in [0, 1, 31, 32, u64::MAX / 3, u64::MAX] {
            assert_eq!(Epoch::from_number(number).number(), Some(number));
        }
        for other in ["other", "0000000000001u", "zzzzzzzzzzzzz", "00000000000001"] {
            assert_eq!(other.parse::<Epoch>().expect("an epoch").number(), None, "{other}");
        }
    }

    #[test]
    fn foreign_text_is_refused() {
        for bad in ["", "a b", "ü", "a/b", &"x".repeat(65)] {
            assert!(bad.parse::<MessageId>().is_err(), "{bad:?}");
        }
        for bad in ["c_", "c_short", "x_aaaaaaaa", "c_AAAAAAAA", "c"] {
            assert!(bad.parse::<ClientId>().is_err(), "{bad:?}");
        }
        for bad in ["_root", "", "a b"] {
            assert!(bad.parse::<UserId>().is_err(), "{bad:?}");
        }
    }
}
