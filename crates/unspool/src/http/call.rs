use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::secrets::redacted;

/// What is asked for: all of a request but the credentials and what every request
/// of a walk carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) url: Url,
    /// Header fields of this request alone, such as the token of a page.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) fields: BTreeMap<String, String>,
    /// A JSON body, which makes the request a `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
}

impl Call {
    /// A `GET` of `url`.
    pub(crate) fn get(url: Url) -> Self {
        Call {
            url,
            fields: BTreeMap::new(),
            body: None,
        }
    }

    pub(crate) fn method(&self) -> Method {
        match self.body {
            None => Method::GET,
            Some(_) => Method::POST,
        }
    }

    /// The request as messages name it.
    pub(crate) fn redacted(&self) -> String {
        redacted(&self.method(), &self.url)
    }
}
