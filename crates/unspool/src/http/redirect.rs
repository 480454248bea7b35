//! Redirects: where they lead, and when they are not followed (RFC 9110, section 15.4).

use reqwest::Response;
use reqwest::header::LOCATION;

use super::clean::CleanCall;
use super::session::{Reply, Session};
use super::{Call, check_scheme, field_text, shortened_to};
use crate::error::Error;

/// How many redirects one request may follow.
const MAX_REDIRECTS: usize = 10;

/// How much of an invalid address is shown, in characters.
const SHOWN: usize = 200;

impl Session {
    /// Sends a call, follows redirects, and gives the answer, whatever its status.
    pub(crate) async fn send_any(&self, call: &CleanCall) -> Result<Reply, Error> {
        let (call, response) = self.follow(call).await?;
        self.reply(call, response).await
    }

    /// Sends a call, follows redirects, and gives the head of what leads nowhere else, with the
    /// call that it answers.
    pub(super) async fn follow(&self, call: &CleanCall) -> Result<(CleanCall, Response), Error> {
        let mut call = call.clone();
        for _ in 0..=MAX_REDIRECTS {
            let sent = self.exchange(&call).await;
            let response = sent.map_err(|error| error.at_request(call.redacted()))?;
            call = self.answering(call, &response)?;
            match target(call.call(), &response) {
                None => return Ok((call, response)),
                Some(target) => {
                    let target = target.and_then(|target| self.followed(target));
                    call = target.map_err(|error| {
                        error.with_start("redirects").at_request(call.redacted())
                    })?;
                }
            }
        }
        Err(
            Error::content(format!("more than {MAX_REDIRECTS} redirects"))
                .at_request(call.redacted()),
        )
    }

    fn followed(&self, target: Call) -> Result<CleanCall, Error> {
        self.clean(target).map_err(|error| {
            let message = error.message();
            // What an address may be is said as of any; here it is said of a redirect.
            let said = Error::content(message.strip_prefix("leads ").unwrap_or(message));
            match error.withheld_from() {
                Some(origin) => said.with_withheld_from(origin.to_owned()),
                None => said,
            }
        })
    }
}

/// What a redirect leads to, if it is one.
fn target(call: &Call, response: &Response) -> Option<Result<Call, Error>> {
    let status = response.status().as_u16();
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = field_text(response.headers().get(LOCATION)?);
    Some(read(call, status, &location))
}

fn read(call: &Call, status: u16, location: &str) -> Result<Call, Error> {
    let url = call.url.join(location).map_err(|_| {
        let location = shortened_to(location, SHOWN);
        Error::content(format!("to something that is not an address: `{location}`"))
    })?;
    let mut target = Call {
        url,
        ..call.clone()
    };
    check_scheme(&target.url).map_err(|error| {
        let target = target.redacted();
        Error::content(format!(
            "to {}: {}",
            shortened_to(&target, SHOWN),
            error.message()
        ))
    })?;
    // Only 307 and 308 mean the same request elsewhere, and only 303 another one.
    if target.body.is_some() && matches!(status, 301 | 302) {
        return Err(Error::content(format!(
            "with status {status}, after which a body is not sent: the request is for {}, if that is to be trusted",
            target.redacted()
        )));
    }
    if status == 303 {
        target.body = None;
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(body: bool) -> Call {
        Call {
            body: body.then(|| json!({"a": 1})),
            ..Call::get("http://a.test/v1/items?page=1".parse().unwrap())
        }
    }

    #[test]
    fn the_status_says_what_becomes_of_the_body() {
        for (status, has_body) in [
            (303, Some(false)),
            (307, Some(true)),
            (308, Some(true)),
            (301, None),
            (302, None),
        ] {
            let target = read(&call(true), status, "/v2");
            assert_eq!(
                target.ok().map(|target| target.body.is_some()),
                has_body,
                "{status}"
            );
            assert!(read(&call(false), status, "/v2").unwrap().body.is_none());
        }
    }

    #[test]
    fn an_address_is_relative_to_the_request_and_has_to_be_one() {
        let read = |location: &str| read(&call(false), 302, location);
        assert_eq!(read("../x?y").unwrap().url.as_str(), "http://a.test/x?y");
        assert_eq!(read("größe").unwrap().url.path(), "/v1/gr%C3%B6%C3%9Fe");
        for wrong in [
            "http://",
            "http://[::1",
            "file:///etc/passwd",
            "javascript:x",
        ] {
            let error = read(wrong).unwrap_err();
            assert!(!error.is_request(), "{error}");
        }
        let long = format!("http://[{}", "x".repeat(100_000));
        assert!(read(&long).unwrap_err().to_string().len() < 1000);
    }
}
