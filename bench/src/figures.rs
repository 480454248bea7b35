//! How figures are printed.

use std::time::Duration;

pub(crate) fn print_target(text: &str, met: bool) {
    println!("target: {text}: {}", if met { "met" } else { "MISSED" });
}

pub(crate) fn ratio(part: Duration, whole: Option<Duration>) -> String {
    let Some(whole) = whole else {
        return String::new();
    };
    let ratio = part.as_secs_f64() / whole.as_secs_f64();
    if ratio < 1.0 {
        format!("1/{:.1}", 1.0 / ratio)
    } else {
        format!("{ratio:.1}x")
    }
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
