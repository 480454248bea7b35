//! A walk as plain data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::position::SOURCE as NAME;
use super::request::Request;
use crate::description::{self, HttpDescription, SourceEntry};
use crate::error::Error;
use crate::secret::Secret;

/// `pages` among the sources.
pub(crate) const SOURCE: SourceEntry = SourceEntry {
    name: NAME,
    open: |members, from| {
        let description: Description = description::read(NAME, members)?;
        let mut request = description.request()?;
        if let Some(position) = from {
            request = request.from(position.clone());
        }
        Ok(Box::pin(request.raw()))
    },
    parts: None,
};

/// A walk over a paginated API as plain data, with credentials by name.
///
/// ```
/// use unspool::pages::Description;
///
/// # fn main() -> Result<(), unspool::Error> {
/// let mut posts = Description::new("https://api.example.com/posts");
/// posts.http.bearer = Some("${API_TOKEN}".into());
/// let text = serde_json::to_string(&unspool::Description::try_from(&posts)?).unwrap();
/// assert_eq!(
///     text,
///     r#"{"source":"pages","http":{"bearer":"${API_TOKEN}"},"url":"https://api.example.com/posts"}"#
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Description {
    /// Where the first page is; `${NAME}` in it stands for a variable of the environment.
    pub url: String,
    /// How to get from page to page, as `--paginate` takes it; by default the first page
    /// decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paginate: Option<String>,
    /// The JSON pointer of the items in a page; by default they are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// The items are the members of an object, and this is the name of the member that
    /// takes the key of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_of_object: Option<String>,
    /// A JSON document to send, which makes the requests `POST`s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// How many pages are read at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<usize>,
    /// The JSON pointer of a key whose items are handed out once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<String>,
    /// The largest item, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_item: Option<usize>,
    /// How requests are sent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http: HttpDescription,
}

fn is_default(http: &HttpDescription) -> bool {
    *http == HttpDescription::default()
}

impl Description {
    /// A walk that begins there, with nothing else said.
    pub fn new(url: impl Into<String>) -> Self {
        Description {
            url: url.into(),
            paginate: None,
            items: None,
            items_of_object: None,
            data: None,
            in_flight: None,
            unique: None,
            max_item: None,
            http: HttpDescription::default(),
        }
    }

    /// The request that it describes, with the credentials looked up.
    ///
    /// # Errors
    ///
    /// A member is wrong, or a credential is not to be had.
    pub fn request(&self) -> Result<Request, Error> {
        let url = Secret::new(self.url.as_str()).resolve()?;
        let mut request = super::pages(url).with_credentials(self.http.credentials()?);
        if let Some(kind) = &self.paginate {
            request = request.paginate(kind.parse::<super::Paginate>()?);
        }
        if let Some(pointer) = &self.items {
            request = request.items_at(pointer.parse()?);
        }
        if let Some(key) = &self.items_of_object {
            request = request.items_of_object(key);
        }
        if let Some(body) = &self.data {
            request = request.data(body.clone());
        }
        if let Some(pages) = self.in_flight {
            request = request.in_flight(pages);
        }
        if let Some(key) = &self.unique {
            request = request.unique(key.parse()?);
        }
        if let Some(bytes) = self.max_item {
            request = request.max_item(bytes);
        }
        if let Some(rate) = self.http.rate()? {
            request = request.rate(rate);
        }
        if let Some(retries) = self.http.retries {
            request = request.retries(retries);
        }
        if let Some(limit) = self.http.timeout {
            request = request.timeout(limit);
        }
        Ok(request)
    }
}

impl TryFrom<&Description> for crate::Description {
    type Error = Error;

    /// # Errors
    ///
    /// A credential is given as it is, and not by name.
    fn try_from(own: &Description) -> Result<Self, Error> {
        description::check_url(&own.url)?;
        crate::Description::new(NAME, own)
    }
}
