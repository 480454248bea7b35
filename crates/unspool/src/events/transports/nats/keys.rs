//! Who connects to NATS, by a key: a credentials file, or the seed of an NKey.
//!
//! The server sends a nonce, and who has the seed signs it (Ed25519).

use std::fmt;
use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;

use crate::error::Error;

/// The letters of base 32 (RFC 4648).
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The first bits of a seed and of a user's key, which are their letters `S` and `U`.
const SEED: u8 = 18 << 3;
const USER: u8 = 20 << 3;

/// Who connects.
pub(super) struct NatsUser {
    /// What an operator says of this user, where the server knows no users of its own.
    token: Option<String>,
    key: Ed25519KeyPair,
}

impl NatsUser {
    /// Reads a credentials file, or one that has a seed only.
    pub(super) fn from_file(path: &str) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("the credentials file `{path}` cannot be read: {error}");
            Error::request(message).with_source(error)
        })?;
        NatsUser::read(&text).ok_or_else(|| {
            // What stands there is nobody's business.
            Error::request(format!(
                "expected a credentials file of NATS or the seed of a user (`SU…`) in `{path}`"
            ))
        })
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let mut token = None;
        let mut seed = None;
        while let Some(line) = lines.next() {
            if line.contains("BEGIN NATS USER JWT") {
                token = lines.next().map(str::to_owned);
            } else if line.starts_with("SU") {
                seed = Some(line);
            }
        }
        let key = Ed25519KeyPair::from_seed_unchecked(&seed_of(seed?)?).ok()?;
        Some(NatsUser { token, key })
    }

    /// Adds to what is sent first that this is the user, for a server that sent this nonce.
    pub(super) fn sign(&self, nonce: &str, connect: &mut Value) {
        let signature = self.key.sign(nonce.as_bytes());
        connect["sig"] = BASE64_URL_SAFE_NO_PAD.encode(signature).into();
        match &self.token {
            Some(token) => connect["jwt"] = token.as_str().into(),
            None => connect["nkey"] = self.public().into(),
        }
    }

    /// The name that the server knows the user by.
    fn public(&self) -> String {
        written(&[&[USER], self.key.public_key().as_ref()].concat())
    }
}

impl fmt::Debug for NatsUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsUser").finish_non_exhaustive()
    }
}

/// The 32 bytes of a user's seed.
fn seed_of(text: &str) -> Option<[u8; 32]> {
    let bytes = decoded(text)?;
    let (bytes, sum) = bytes.split_last_chunk::<2>()?;
    let (kinds, seed) = bytes.split_first_chunk::<2>()?;
    let kind = (kinds[0] & 7) << 5 | kinds[1] >> 3;
    let is_seed =
        kinds[0] & 0xf8 == SEED && kind == USER && checksum(bytes) == u16::from_le_bytes(*sum);
    seed.try_into().ok().filter(|_| is_seed)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// With its checksum, in base 32.
fn written(bytes: &[u8]) -> String {
    let bytes = [bytes, &checksum(bytes).to_le_bytes()].concat();
    let (mut text, mut bits, mut count) = (String::new(), 0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(LETTERS[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        text.push(char::from(LETTERS[(bits << (5 - count) & 31) as usize]));
    }
    text
}

/// CRC-16 as XMODEM has it.
fn checksum(bytes: &[u8]) -> u16 {
    let shifted = |sum: u16, _| {
        if sum & 0x8000 == 0 {
            sum << 1
        } else {
            sum << 1 ^ 0x1021
        }
    };
    (bytes.iter()).fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, shifted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the documentation of NATS.
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    #[test]
    fn the_public_key_follows_from_the_seed() {
        assert_eq!(NatsUser::read(SEED).unwrap().public(), PUBLIC);
    }

    #[test]
    fn a_credentials_file_has_a_token_and_a_seed() {
        let file = format!(
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             -----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
        );
        let user = NatsUser::read(&file).unwrap();
        let mut connect = serde_json::json!({});
        user.sign("nonce", &mut connect);
        assert_eq!(connect["jwt"], "a.b.c");
        assert_eq!(connect["nkey"], Value::Null);
        assert_eq!(connect["sig"].as_str().unwrap().len(), 86);
        assert!(!format!("{user:?}").contains("SU"));
    }

    #[test]
    fn what_is_no_seed_of_a_user_is_refused() {
        let damaged = SEED.replace("UACSS", "UACST");
        for text in ["", PUBLIC, &damaged, &SEED[..50], "SU", "SU0189"] {
            assert!(NatsUser::read(text).is_none(), "{text}");
        }
    }
}
