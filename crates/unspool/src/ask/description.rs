//! A question as plain data.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::each::EachDescription;
use super::prompt::{Message, Tool};
use super::watch::NAME;
use super::{Attachment, Request};
use crate::description::{self, AnySource, HttpDescription, SourceEntry, from_seconds, to_seconds};
use crate::error::Error;
use crate::position::Position;
use crate::secret::Secret;
use crate::sinks::Identity;

/// `ask` among the sources.
pub(crate) const SOURCE: SourceEntry = SourceEntry {
    name: NAME,
    open: |members, from| {
        let description: Description = description::read(NAME, members)?;
        match from {
            _ if description.each.is_some() => description.open(from),
            None => description.open(None),
            Some(_) => Err(Error::request(
                "an answer cannot be resumed: ask again from its begin",
            )),
        }
    },
    parts: Some(|members| {
        Box::pin(async move {
            let description: Description = description::read(NAME, members)?;
            let parts = description.parts().await?;
            Ok(parts.iter().map(|part| serde_json::json!(part)).collect())
        })
    }),
};

/// A question to a language model as plain data, with the key by name.
///
/// As [any source](crate::Description::open) its items are the elements at
/// [`items`](Description::items) of the document in the answer, or else its events; or where it is
/// asked for [each](Description::each) record of a file, the records with their answers.
///
/// ```
/// use unspool::ask::Description;
///
/// let mut question = Description::new("Name the longest river.");
/// question.model = Some("claude-x".to_owned());
/// let text = serde_json::to_string(&question).unwrap();
/// assert_eq!(text, r#"{"prompt":"Name the longest river.","model":"claude-x"}"#);
/// let answer = question.request()?.text();
/// # drop(answer);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Description {
    /// What to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The conversation so far.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// What the model is told before everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Tools that the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whom to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where the protocol is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The key; by default that of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// How many tokens the answer may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The sampling temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Texts that end the answer on the side of the upstream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// A pattern that ends the answer here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<String>,
    /// Files that go with the question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The JSON schema that the text of the answer has to match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// A file, for each record of which the question is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<EachDescription>,
    /// Further fields of the request's body.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// The JSON pointer of an array in the answer whose elements are the items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// How long the first byte may take, in seconds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "to_seconds",
        deserialize_with = "from_seconds"
    )]
    pub first_byte: Option<Duration>,
    /// How requests are sent.
    #[serde(skip_serializing_if = "is_default")]
    pub http: HttpDescription,
}

fn is_default(http: &HttpDescription) -> bool {
    *http == HttpDescription::default()
}

impl Description {
    /// A question, with nothing else said.
    pub fn new(prompt: impl Into<String>) -> Self {
        Description {
            prompt: Some(prompt.into()),
            ..Description::default()
        }
    }

    /// The request that it describes, with the key looked up.
    ///
    /// # Errors
    ///
    /// A member is wrong, or a credential is not to be had.
    pub fn request(&self) -> Result<Request, Error> {
        let mut request = super::conversation(self.messages.iter().cloned())
            .with_credentials(self.http.credentials()?)
            .extras(self.extra.clone());
        request = (self.tools.iter().cloned()).fold(request, Request::tool);
        request = (self.attachments.iter().cloned()).fold(request, Request::attach);
        request = given(request, self.schema.clone(), Request::schema);
        request = (self.stop.iter()).fold(request, Request::stop_sequence);
        request = given(request, self.prompt.as_ref(), |request, prompt| {
            request.message(Message::user(prompt))
        });
        request = given(request, self.system.as_ref(), Request::system);
        request = given(request, self.model.as_ref(), Request::model);
        request = given(request, self.base_url.as_ref(), Request::base_url);
        request = given(request, self.max_tokens, Request::max_tokens);
        request = given(request, self.temperature, Request::temperature);
        request = given(request, self.stop_at.as_ref(), Request::stop_at);
        request = given(request, self.first_byte, Request::first_byte);
        request = given(request, self.http.retries, Request::retries);
        request = given(request, self.http.timeout, Request::idle);
        request = given(request, self.http.rate()?, Request::rate);
        if let Some(name) = &self.provider {
            request = request.provider(name.parse()?);
        }
        if let Some(key) = &self.api_key {
            request = request.api_key(key.resolve()?);
        }
        Ok(request)
    }

    /// What makes this question the same as an earlier one, whose target it goes on with; neither
    /// the key nor how it is sent makes it another, nor a limit for all records.
    pub fn identity(&self) -> Identity {
        let mut asked = self.clone();
        (asked.api_key, asked.http) = (None, HttpDescription::default());
        asked.each = asked.each.map(EachDescription::without_limits);
        // What is left are texts and numbers.
        let text = serde_json::to_string(&asked).unwrap_or_default();
        Identity::new(NAME).with_digest("description", Some(text))
    }

    fn open(&self, from: Option<&Position>) -> Result<AnySource, Error> {
        let request = self.request()?;
        Ok(match (&self.items, &self.each) {
            (_, Some(each)) => {
                let each = each.of(request)?;
                Box::pin(
                    (from.cloned().into_iter())
                        .fold(each, |each, from| each.resume(Some(from)))
                        .raw(),
                )
            }
            (Some(pointer), None) => Box::pin(request.raw_items(pointer.parse()?)),
            (None, None) => Box::pin(request.raw_events()),
        })
    }

    /// The parts by records, each as a description.
    async fn parts(&self) -> Result<Vec<Self>, Error> {
        let Some(each) = self.each.clone() else {
            return Ok(vec![self.clone()]);
        };
        let described = |each| Description {
            each: Some(each),
            ..self.clone()
        };
        Ok(each.parts().await?.into_iter().map(described).collect())
    }
}

/// The request with something that may be given.
fn given<T>(
    request: Request,
    value: Option<T>,
    add: impl FnOnce(Request, T) -> Request,
) -> Request {
    match value {
        Some(value) => add(request, value),
        None => request,
    }
}

impl TryFrom<&Description> for crate::Description {
    type Error = Error;

    /// # Errors
    ///
    /// A credential is given as it is, and not by name.
    fn try_from(own: &Description) -> Result<Self, Error> {
        crate::Description::new(NAME, own)
    }
}
