//! Keys of NATS and what is signed with them, as its operators make them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// The kinds of keys.
pub(super) const OPERATOR: u8 = 14 << 3;
pub(super) const ACCOUNT: u8 = 0;
pub(super) const USER: u8 = 20 << 3;

const SEED: u8 = 18 << 3;

/// A new key of a kind.
pub(super) struct Key {
    pub(super) seed: String,
    pub(super) public: String,
    pair: Ed25519KeyPair,
}

impl Key {
    pub(super) fn new(kind: u8) -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        let words = [(); 4].map(|()| RandomState::new().hash_one(0).to_be_bytes());
        let seed = words.concat();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let kinds = [SEED | kind >> 5, kind << 3];
        Key {
            seed: written(&[&kinds[..], &seed].concat()),
            public: written(&[&[kind], pair.public_key().as_ref()].concat()),
            pair,
        }
    }

    /// What this key says of another one.
    pub(super) fn token(&self, of: &Key, claims: Value) -> String {
        let encoded = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let head = encoded(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
        let body = encoded(json!({
            "jti": "1", "iat": 1_700_000_000, "iss": self.public, "sub": of.public, "name": "test",
            "nats": claims,
        }));
        let text = format!("{head}.{body}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.pair.sign(text.as_bytes()));
        format!("{text}.{signature}")
    }
}

/// In base 32, with a checksum.
fn written(bytes: &[u8]) -> String {
    let bytes = [bytes, &checksum(bytes).to_le_bytes()].concat();
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let letters = bits.as_bytes().chunks(5).map(|chunk| {
        let digits = format!("{:0<5}", std::str::from_utf8(chunk).unwrap());
        let value = usize::from_str_radix(&digits, 2).unwrap();
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[value])
    });
    letters.collect()
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u16;
    for byte in bytes {
        sum ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let carry = if sum & 0x8000 == 0 { 0 } else { 0x1021 };
            sum = sum << 1 ^ carry;
        }
    }
    sum
}
