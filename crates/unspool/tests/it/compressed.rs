//! Compressed bodies: whole, cut and corrupt.

use std::io::Write as _;

use crate::server::{Reply, Server};
use crate::{complete, drain};

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// A page of items that compresses, but not to nothing.
fn items() -> Vec<String> {
    let number = |index: u64| index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    (0..100_000)
        .map(|index| format!("{{\"n\":{}}}", number(index)))
        .collect()
}

fn compressed(encoding: &str, items: &[String]) -> Vec<u8> {
    let body = format!("[{}]", items.join(",")).into_bytes();
    match encoding {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&body).unwrap();
            gzip.finish().unwrap()
        }
        "br" => {
            let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 3, 20);
            brotli.write_all(&body).unwrap();
            brotli.into_inner()
        }
        _ => zstd::encode_all(body.as_slice(), 1).unwrap(),
    }
}

fn reply(encoding: &str) -> Reply {
    Reply::status(200).header("content-encoding", encoding)
}

#[tokio::test]
async fn each_compression_is_asked_for_and_undone() {
    for encoding in ENCODINGS {
        let expected = items();
        let body = compressed(encoding, &expected);
        let server = Server::start(move |request| {
            assert!(
                request
                    .header("accept-encoding")
                    .unwrap()
                    .contains(encoding)
            );
            reply(encoding).body(body.clone())
        });
        let (items, account) = complete(unspool::pages(server.url("/")).raw()).await;
        assert_eq!(items, expected, "{encoding}");
        let length = expected.iter().map(|item| item.len() + 1).sum::<usize>() + 1;
        assert_eq!(account.bytes as usize, length, "{encoding}");
    }
}

#[tokio::test]
async fn a_compressed_body_that_is_cut_is_truncated_behind_what_came() {
    for encoding in ENCODINGS {
        let expected = items();
        let whole = compressed(encoding, &expected);
        let half = whole[..whole.len() / 2].to_vec();
        let length = whole.len();
        let server = Server::start(move |request| match request.path() {
            // The upstream compressed half a page, or the connection broke.
            "/whole" => reply(encoding).body(half.clone()),
            _ => reply(encoding).cut(half.clone(), length),
        });
        for path in ["/whole", "/cut"] {
            let (items, account) = drain(unspool::pages(server.url(path)).retries(0).raw()).await;
            let error = account.unwrap_err();
            assert!(error.is_truncated(), "{encoding}{path}: {error}");
            assert!(items.len() > 10_000, "{encoding}{path}: {}", items.len());
            assert_eq!(items, expected[..items.len()], "{encoding}{path}");
        }
    }
}

#[tokio::test]
async fn a_compressed_body_that_is_corrupt_is_an_error_and_not_truncated() {
    for encoding in ENCODINGS {
        let mut body = compressed(encoding, &items());
        let middle = body.len() / 2;
        for byte in &mut body[middle..middle + 1000] {
            *byte ^= 0x55;
        }
        let server = Server::start(move |_| reply(encoding).body(body.clone()));
        let (_, account) = drain(unspool::pages(server.url("/")).raw()).await;
        let error = account.unwrap_err();
        assert!(
            !error.is_truncated() && !error.is_retryable(),
            "{encoding}: {error}"
        );
    }
}

#[tokio::test]
async fn a_window_that_no_decoder_has_to_keep_is_refused() {
    let items = items();
    let body = format!("[{}]", items.join(","));
    for (window, is_taken) in [(20, true), (23, true), (24, false), (27, false)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        encoder.write_all(body.as_bytes()).unwrap();
        let compressed = encoder.finish().unwrap();
        let server = Server::start(move |_| reply("zstd").body(compressed.clone()));
        let (found, account) = drain(unspool::pages(server.url("/")).retries(0).raw()).await;
        match account {
            Ok(account) => assert!(is_taken && account.complete && found == items, "{window}"),
            Err(error) => assert!(!is_taken && !error.is_retryable(), "{window}: {error}"),
        }
    }
}
