//! Sources as plain data, to be opened elsewhere.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use url::Url;

use crate::error::Error;
use crate::http::{ClientCredentials, Credentials, Rate, is_secret_name};
use crate::item::RawItem;
use crate::position::Position;
use crate::secret::Secret;
use crate::source::Source;
use crate::{events, pages};

/// All sources. To add one: its module, a line here.
static SOURCES: &[SourceEntry] = &[
    pages::SOURCE,
    #[cfg(feature = "ask")]
    crate::ask::SOURCE,
    events::SOURCE,
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    crate::rows::SOURCE,
];

/// A source by its name.
pub(crate) struct SourceEntry {
    pub(crate) name: &'static str,
    /// Makes the source from its members, at a position if there is one.
    pub(crate) open: fn(Value, Option<&Position>) -> Result<AnySource, Error>,
    /// Finds the members of its parts, where it can be cut.
    pub(crate) parts: Option<fn(Value) -> Parts>,
}

/// The members of a source's parts, once the upstream has been asked.
pub(crate) type Parts = Pin<Box<dyn Future<Output = Result<Vec<Value>, Error>> + Send>>;

/// A source whose kind is not known where it is used: items as JSON text.
///
/// It is in the example of [`Description`].
pub type AnySource = Pin<Box<dyn Source<RawItem>>>;

/// A source as plain data: what is asked, where and how, with credentials
/// [by name](Secret). It can be sent to another process or machine, and opened there.
///
/// Its JSON has the member `source` with the name of the source beside the members of
/// that source's own description, such as [`pages::Description`].
///
/// ```no_run
/// use futures_util::TryStreamExt;
/// use unspool::Description;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let text = r#"{
///     "source": "pages",
///     "url": "https://api.example.com/posts",
///     "http": {"bearer": "${API_TOKEN}", "rate": "10/s"}
/// }"#;
/// let description: Description = serde_json::from_str(text)?;
/// let mut posts = description.open(None)?;
/// while let Some(post) = posts.try_next().await? {
///     println!("{post}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    source: String,
    #[serde(flatten)]
    members: Map<String, Value>,
}

impl Description {
    /// The description of a source from that of its own kind.
    ///
    /// # Errors
    ///
    /// A credential is given as it is, and not by name.
    pub(crate) fn new(source: &str, own: &impl Serialize) -> Result<Self, Error> {
        match serde_json::to_value(own) {
            Ok(Value::Object(members)) => Ok(Description {
                source: source.to_owned(),
                members,
            }),
            Ok(_) => Err(Error::request(format!("`{source}` cannot be described"))),
            Err(error) => Err(Error::request(error.to_string())),
        }
    }

    /// The name of the source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The source's own description, such as [`pages::Description`].
    ///
    /// # Errors
    ///
    /// A member is unknown or wrong, or it is another source.
    pub fn own<T: DeserializeOwned>(&self) -> Result<T, Error> {
        read(&self.source, Value::Object(self.members.clone()))
    }

    /// Opens the source, after a position if there is one. Credentials are looked up now;
    /// nothing is sent before the first item is asked for.
    ///
    /// # Errors
    ///
    /// There is no such source, a member is unknown or wrong, or a credential is not to be
    /// had.
    pub fn open(&self, from: Option<&Position>) -> Result<AnySource, Error> {
        (self.entry()?.open)(Value::Object(self.members.clone()), from)
    }

    /// The parts that can be opened apart from each other, and whose items together are
    /// those of the source, in order. One, the source itself, where it cannot be cut: so
    /// it is with `pages`, `events` and one answer, and with `rows` and records that are asked
    /// about (`ask::EachDescription`) that are not asked for in parts.
    ///
    /// # Errors
    ///
    /// As [`open`](Description::open), and what the upstream says where it has to be asked.
    pub async fn partitions(&self) -> Result<Vec<Description>, Error> {
        self.open(None)?;
        let Some(parts) = self.entry()?.parts else {
            return Ok(vec![self.clone()]);
        };
        let parts = parts(Value::Object(self.members.clone())).await?;
        let described = |members| match members {
            Value::Object(members) => Description {
                source: self.source.clone(),
                members,
            },
            _ => self.clone(),
        };
        Ok(parts.into_iter().map(described).collect())
    }

    fn entry(&self) -> Result<&'static SourceEntry, Error> {
        (SOURCES.iter())
            .find(|entry| entry.name == self.source)
            .ok_or_else(|| {
                let names: Vec<_> = SOURCES.iter().map(|entry| entry.name).collect();
                Error::request(format!(
                    "expected a source, one of `{}`; found `{}`",
                    names.join("`, `"),
                    self.source
                ))
            })
    }
}

/// Reads a source's own description.
pub(crate) fn read<T: DeserializeOwned>(source: &str, members: Value) -> Result<T, Error> {
    serde_json::from_value(members).map_err(|error| {
        Error::request(format!("the description of `{source}` is wrong: {error}"))
            .with_source(error)
    })
}

/// Checks that a URL, to be written down, holds no credential as it is.
pub(crate) fn check_url(url: &str) -> Result<(), Error> {
    let Ok(url) = Url::parse(url) else {
        return Ok(());
    };
    let is_given = |value: &str| !value.is_empty() && !Secret::new(value).is_named();
    let in_query = (url.query_pairs())
        .find(|(name, value)| is_secret_name(name) && is_given(value))
        .map(|(name, _)| name.into_owned());
    let password = url.password().map(percent_encoding::percent_decode_str);
    let password = password.map(|password| password.decode_utf8_lossy().into_owned());
    let has_password = password.as_deref().is_some_and(is_given);
    match in_query {
        Some(name) => Err(Error::request(format!(
            "`{name}` in the URL looks like a credential: to write it down, name it as `${{NAME}}`"
        ))),
        None if has_password => Err(Error::request(
            "the URL holds a password: to write it down, name it as `${NAME}`",
        )),
        None => Ok(()),
    }
}

/// How requests are sent, as plain data: credentials for the origin of the URL, by name,
/// and what is waited for.
///
/// ```
/// use unspool::HttpDescription;
///
/// let http: HttpDescription = serde_json::from_str(
///     r#"{"bearer": "${API_TOKEN}", "headers": {"Accept": "application/json"}, "rate": "10/s"}"#,
/// )
/// .unwrap();
/// assert!(http.bearer.unwrap().is_named());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpDescription {
    /// Headers by their names. Those that say nothing about who asks, such as `Accept`, are
    /// written down as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "headers")]
    pub headers: BTreeMap<String, Secret>,
    /// User and password, with a `:` in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Secret>,
    /// A token for `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// Keys in headers, by the names of those.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub api_key: BTreeMap<String, Secret>,
    /// Keys in the query, by the names of their parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub api_key_query: BTreeMap<String, Secret>,
    /// Cookies by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cookies: BTreeMap<String, Secret>,
    /// URLs with other names of the same server, which gets all these under them, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_origins: Vec<String>,
    /// Where tokens come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2Description>,
    /// The highest rate, such as `10/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How often a failed request is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<usize>,
    /// The longest silence of the upstream, in seconds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "to_seconds",
        deserialize_with = "from_seconds"
    )]
    pub timeout: Option<Duration>,
}

/// A client of an authorization server (RFC 6749, section 4.4), as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Description {
    /// Where tokens are given.
    pub token_url: String,
    /// The client.
    pub client_id: Secret,
    /// Its secret.
    pub client_secret: Secret,
    /// Further parameters of the token request, such as `scope`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Whether client and secret go into the body.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_body: bool,
}

impl HttpDescription {
    /// The credentials, looked up.
    pub(crate) fn credentials(&self) -> Result<Credentials, Error> {
        let mut credentials = Credentials::new();
        for (name, value) in &self.headers {
            let (name, value) = header(name, &value.resolve()?)?;
            credentials = credentials.header(name, value);
        }
        if let Some(user) = &self.user {
            let text = user.resolve()?;
            let (user, password) = text.split_once(':').unwrap_or((&text, ""));
            credentials = credentials.basic_auth(user, password);
        }
        if let Some(token) = &self.bearer {
            credentials = credentials.bearer_auth(&token.resolve()?);
        }
        for (name, key) in &self.api_key {
            credentials = credentials.api_key_header(name, &key.resolve()?);
        }
        for (name, key) in &self.api_key_query {
            credentials = credentials.api_key_query(name, &key.resolve()?);
        }
        for (name, value) in &self.cookies {
            credentials = credentials.cookie(name, &value.resolve()?);
        }
        for url in &self.also_origins {
            credentials = credentials.also_origin(url);
        }
        match &self.oauth2 {
            Some(oauth2) => Ok(credentials.oauth2(oauth2.client()?)),
            None => Ok(credentials),
        }
    }

    pub(crate) fn rate(&self) -> Result<Option<Rate>, Error> {
        self.rate.as_deref().map(str::parse).transpose()
    }
}

impl OAuth2Description {
    fn client(&self) -> Result<ClientCredentials, Error> {
        let (id, secret) = (self.client_id.resolve()?, self.client_secret.resolve()?);
        let client = ClientCredentials::new(&self.token_url, id, secret);
        let client = (self.parameters.iter()).fold(client, |client, (name, value)| {
            client.parameter(name, value)
        });
        Ok(if self.in_body {
            client.in_body()
        } else {
            client
        })
    }
}

/// Writes headers down: those that are harmless as they are, the others by name.
fn headers<S: Serializer>(
    headers: &BTreeMap<String, Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, value)| {
        let value = if is_harmless(name) {
            Written::AsItIs(value.as_written())
        } else {
            Written::ByName(value)
        };
        (name, value)
    }))
}

#[derive(Serialize)]
#[serde(untagged)]
enum Written<'v> {
    AsItIs(&'v str),
    ByName(&'v Secret),
}

/// Whether a header says nothing about who asks: what is asked for, and in which version.
fn is_harmless(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "accept",
        "accept-language",
        "content-type",
        "prefer",
        "user-agent",
    ]
    .contains(&name.as_str())
        || name.ends_with("-version")
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let name = name
        .parse()
        .map_err(|_| Error::request(format!("`{name}` is not the name of a header")))?;
    // The value may be a secret, and is not shown.
    let value = value.parse().map_err(|_| {
        Error::request(format!(
            "the header `{name}` has a value that cannot be sent"
        ))
    })?;
    Ok((name, value))
}

pub(crate) fn to_seconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

pub(crate) fn from_seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let seconds: Option<f64> = Option::deserialize(deserializer)?;
    seconds
        .map(Duration::try_from_secs_f64)
        .transpose()
        .map_err(serde::de::Error::custom)
}
