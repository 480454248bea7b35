//! Where a redirect leads, and when it is not followed.

use reqwest::Response;
use reqwest::header::LOCATION;
use url::Url;

use super::{Call, check_scheme};
use crate::error::Error;

/// What a redirect leads to (RFC 9110, section 15.4).
pub(super) fn redirected(
    call: &Call,
    response: &Response,
    strip: impl Fn(&mut Url),
) -> Result<Option<Call>, Error> {
    let status = response.status().as_u16();
    let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(LOCATION).filter(|_| is_redirect) else {
        return Ok(None);
    };
    let wrong = |what: String| Error::content(what).at_request(call.redacted());
    let target = location.to_str().ok();
    let mut target = target
        .and_then(|location| call.url.join(location).ok())
        .ok_or_else(|| wrong("redirects to something that is not an address".to_owned()))?;
    strip(&mut target);
    let mut target = Call {
        url: target,
        ..call.clone()
    };
    // Only 307 and 308 mean the same request elsewhere, and only 303 another one.
    if target.body.is_some() && matches!(status, 301 | 302) {
        return Err(wrong(format!(
            "redirects with status {status}, behind which a body is not sent: the request is for {}, if that is to be trusted",
            target.redacted()
        )));
    }
    if status == 303 {
        target.body = None;
    }
    check_scheme(&target.url).map_err(|error| {
        wrong(format!(
            "redirects to {}: {}",
            target.redacted(),
            error.message()
        ))
    })?;
    if target.body.is_some() && target.url.origin() != call.url.origin() {
        return Err(wrong(format!(
            "redirects to another origin, which the body is not meant for: {}",
            target.redacted()
        )));
    }
    Ok(Some(target))
}
