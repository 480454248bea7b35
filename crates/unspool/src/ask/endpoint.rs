//! Whom to ask: from what the caller says, the model's name and the environment.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::protocols::{ANTHROPIC, Key, OLLAMA, OPENAI, Provider, ProviderEntry};
use crate::error::{Error, Kind};

/// What the caller says of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) provider: Option<Provider>,
    pub(super) model: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) api_key: Option<String>,
}

/// Providers that a variable with an address tells, the likeliest first.
const BASED: [Provider; 3] = [OPENAI, ANTHROPIC, OLLAMA];

/// Whom to ask.
pub(super) struct Endpoint {
    pub(super) entry: &'static ProviderEntry,
    pub(super) model: String,
    pub(super) base: Url,
    /// The header that holds the key.
    pub(super) key: Option<(HeaderName, HeaderValue)>,
}

/// A variable of the environment, if it is set and not empty.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

impl Endpoint {
    /// Whether it is not asked where the provider itself is.
    pub(super) fn is_compatible(&self) -> bool {
        let own = Url::parse(self.entry.base).map(|own| own.origin());
        own.is_ok_and(|own| own != self.base.origin())
    }
}

impl Wanted {
    /// Decides. The headers are the caller's for an address, who may have put a key there.
    pub(super) fn endpoint(
        &self,
        headers: &dyn Fn(&Url) -> HeaderMap,
        environment: Environment<'_>,
    ) -> Result<Endpoint, Error> {
        let provider = self.provider(environment)?;
        let entry = provider.entry();
        let variable = |names: &[&str]| names.iter().find_map(|name| environment(name));
        let base = self.base_url.clone().or(variable(entry.base_variables));
        let is_usual = base.is_none();
        // Whoever speaks OpenAI's protocol elsewhere has other models.
        let usual_model = entry.model.filter(|_| is_usual || provider != OPENAI);
        let model = match (&self.model, usual_model) {
            (Some(model), _) => model.clone(),
            (None, Some(model)) => model.to_owned(),
            (None, None) => {
                return Err(Error::new(
                    Kind::MissingModel,
                    format!("no model is named, and `{provider}` has many"),
                ));
            }
        };
        let base = address(base.as_deref().unwrap_or(entry.base), provider)?;
        let headers = headers(&base);
        let key = self.key(entry, &headers, environment)?;
        let is_named = |key: &Key| headers.contains_key(header_of(*key));
        let is_known = key.is_some() || entry.keys.iter().any(|(_, key)| is_named(key));
        if !is_known && is_usual && !entry.is_open {
            let names: Vec<_> = entry.keys.iter().map(|(name, _)| *name).collect();
            return Err(Error::new(
                Kind::MissingKey,
                format!(
                    "no key for `{provider}`: neither given, nor in `{}`",
                    names.join("`, `")
                ),
            ));
        }
        Ok(Endpoint {
            entry,
            model,
            base,
            key,
        })
    }

    fn provider(&self, environment: Environment<'_>) -> Result<Provider, Error> {
        if let Some(provider) = self.provider {
            return Ok(provider);
        }
        let is_set = |names: &[&str]| names.iter().any(|name| environment(name).is_some());
        let has_key = |provider: &Provider| provider.key_variables().any(|name| is_set(&[name]));
        let Some(model) = &self.model else {
            return Ok(self.provider_without_model(has_key, is_set));
        };
        if let Some(provider) = Provider::all().find(|provider| (provider.entry().serves)(model)) {
            return Ok(provider);
        }
        // Servers that speak the protocol of OpenAI have models of all names.
        if self.base_url.is_some() {
            return Ok(OPENAI);
        }
        let by_base = BASED
            .into_iter()
            .find(|provider| is_set(provider.entry().base_variables));
        let with_key: Vec<Provider> = Provider::all().filter(has_key).collect();
        match (by_base, with_key.as_slice()) {
            (Some(provider), _) => Ok(provider),
            // Two protocols share a key.
            (None, [provider, rest @ ..])
                if rest
                    .iter()
                    .all(|other| other.entry().keys == provider.entry().keys) =>
            {
                Ok(*provider)
            }
            _ => Err(Error::new(
                Kind::MissingModel,
                format!(
                    "whose model is `{model}`? neither its name nor the environment tells the provider"
                ),
            )),
        }
    }

    /// The one whose key is set; of several, the first of the table.
    fn provider_without_model(
        &self,
        has_key: impl Fn(&Provider) -> bool,
        is_set: impl Fn(&[&str]) -> bool,
    ) -> Provider {
        if self.api_key.is_some() {
            return ANTHROPIC;
        }
        let has_base = |provider: &Provider| is_set(provider.entry().base_variables);
        let found = Provider::all().find(|provider| has_key(provider) || has_base(provider));
        found.unwrap_or(ANTHROPIC)
    }

    fn key(
        &self,
        entry: &ProviderEntry,
        headers: &HeaderMap,
        environment: Environment<'_>,
    ) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        if entry
            .keys
            .iter()
            .any(|(_, key)| headers.contains_key(header_of(*key)))
        {
            return Ok(None);
        }
        let given = (self.api_key.as_ref()).zip(entry.keys.first().map(|(_, key)| *key));
        let given = given.map(|(value, key)| (value.clone(), key));
        let (value, key) = match given {
            Some(given) => given,
            None => {
                let mut keys = entry.keys.iter();
                let found = keys.find_map(|(name, key)| Some((environment(name)?, *key)));
                match found {
                    Some(found) => found,
                    None => return Ok(None),
                }
            }
        };
        // A variable that is not set, in double quotes, gives an empty key.
        if value.trim().is_empty() {
            return Err(Error::request("the key is empty"));
        }
        let text = match key {
            Key::Bearer => format!("Bearer {}", value.trim()),
            Key::Header(_) => value.trim().to_owned(),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Error::request("the key holds characters that no header may have"))?;
        value.set_sensitive(true);
        Ok(Some((header_of(key), value)))
    }
}

fn header_of(key: Key) -> HeaderName {
    match key {
        Key::Bearer => AUTHORIZATION,
        Key::Header(name) => HeaderName::from_static(name),
    }
}

/// The base; without a scheme, as `OLLAMA_HOST` may be, with the port of Ollama.
fn address(text: &str, provider: Provider) -> Result<Url, Error> {
    let text = text.trim();
    let is_bare = provider == OLLAMA && !text.contains("://");
    let whole = match is_bare {
        true => format!("http://{text}"),
        false => text.to_owned(),
    };
    let mut url: Url = whole
        .parse()
        .map_err(|error| Error::request(format!("`{text}` is not an address: {error}")))?;
    if is_bare {
        let has_port = text.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty()
                && port
                    .trim_end_matches('/')
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
        });
        // Neither can fail: it is an HTTP address.
        if !has_port {
            let _ = url.set_port(Some(11434));
        }
        if url.host_str() == Some("0.0.0.0") {
            let _ = url.set_host(Some("127.0.0.1"));
        }
    }
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(Error::request(format!(
            "expected an `http:` or `https:` address, found the scheme `{scheme}:`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::protocols::{GEMINI, RESPONSES};

    fn endpoint(wanted: &Wanted, variables: &[(&str, &str)]) -> Result<Endpoint, Error> {
        wanted.endpoint(&|_| HeaderMap::new(), &|name| {
            let found = variables.iter().find(|(found, _)| *found == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// Provider, base and header of the key; or the error.
    #[track_caller]
    fn check(model: Option<&str>, variables: &[(&str, &str)], expected: &str) {
        let wanted = Wanted {
            model: model.map(str::to_owned),
            ..Wanted::default()
        };
        let found = match endpoint(&wanted, variables) {
            Ok(endpoint) => {
                let key = endpoint.key.map(|(name, value)| {
                    assert!(value.is_sensitive());
                    format!("{name}={}", value.to_str().unwrap())
                });
                let key = key.unwrap_or("no key".to_owned());
                format!("{} {} {key}", endpoint.entry.name, endpoint.base)
            }
            Err(error) => {
                assert!(error.is_request());
                error.to_string()
            }
        };
        assert!(
            found.contains(expected),
            "expected {expected}, found {found}"
        );
    }

    const ANTHROPIC_KEY: (&str, &str) = ("ANTHROPIC_API_KEY", "k1");
    const OPENAI_KEY: (&str, &str) = ("OPENAI_API_KEY", "k2");

    #[test]
    fn the_name_of_the_model_tells_the_provider() {
        let keys = [ANTHROPIC_KEY, OPENAI_KEY, ("GEMINI_API_KEY", "k3")];
        check(
            None,
            &keys,
            "anthropic https://api.anthropic.com/ x-api-key=k1",
        );
        check(Some("claude-opus-4-1"), &keys, "anthropic");
        check(
            Some("gpt-5.1"),
            &keys,
            "openai https://api.openai.com/v1 authorization=Bearer k2",
        );
        check(
            Some("gemini-3-pro"),
            &keys,
            "gemini https://generativelanguage.googleapis.com/ x-goog-api-key=k3",
        );
        check(
            Some("llama3.2:1b"),
            &keys,
            "ollama http://127.0.0.1:11434/ no key",
        );
    }

    #[test]
    fn without_a_model_the_provider_whose_key_is_set_is_asked() {
        let gemini = ("GEMINI_API_KEY", "k3");
        check(None, &[OPENAI_KEY], "openai https://api.openai.com/v1 auth");
        check(None, &[gemini], "gemini https://generativelanguage");
        check(None, &[gemini, ANTHROPIC_KEY, OPENAI_KEY], "anthropic");
        let groq = ("GROQ_API_KEY", "k4");
        check(None, &[groq], "no model is named, and `groq` has many");
        check(
            Some("llama"),
            &[groq],
            "groq https://api.groq.com/openai/v1 authorization=Bearer k4",
        );
        // Elsewhere the models are others.
        let elsewhere = ("OPENAI_BASE_URL", "http://h/v1");
        check(
            None,
            &[OPENAI_KEY, elsewhere],
            "no model is named, and `openai` has many",
        );
    }

    #[test]
    fn an_empty_key_is_refused() {
        for key in ["", " ", "\n"] {
            let wanted = Wanted {
                api_key: Some(key.to_owned()),
                ..Wanted::default()
            };
            let error = endpoint(&wanted, &[ANTHROPIC_KEY]).err().unwrap();
            assert!(
                error.is_request() && error.to_string().contains("key is empty"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_environment_tells_the_provider_where_the_name_does_not() {
        check(
            Some("llama"),
            &[("OPENAI_BASE_URL", "http://h:8000/v1")],
            "openai http://h:8000/v1 no key",
        );
        check(
            Some("llama"),
            &[("OLLAMA_HOST", "h")],
            "ollama http://h:11434/ no key",
        );
        check(
            Some("llama"),
            &[OPENAI_KEY],
            "openai https://api.openai.com/v1",
        );
        check(
            Some("llama"),
            &[OPENAI_KEY, ANTHROPIC_KEY],
            "whose model is `llama`?",
        );
        check(Some("llama"), &[], "whose model is `llama`?");
    }

    #[test]
    fn a_key_is_needed_where_the_protocol_is_usually_spoken() {
        check(
            None,
            &[],
            "no key for `anthropic`: neither given, nor in `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`",
        );
        check(
            None,
            &[("ANTHROPIC_BASE_URL", "http://h")],
            "anthropic http://h/ no key",
        );
        check(
            None,
            &[("ANTHROPIC_AUTH_TOKEN", "t")],
            "authorization=Bearer t",
        );
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", "mine".parse().unwrap());
        let found = Wanted::default().endpoint(&|_| headers.clone(), &|name| {
            (name == ANTHROPIC_KEY.0).then(|| "k1".to_owned())
        });
        assert!(found.unwrap().key.is_none());
    }

    #[test]
    fn ollama_is_found_by_host_port_or_address() {
        for (host, expected) in [
            ("h", "http://h:11434/"),
            ("h:80", "http://h/"),
            ("h:1234", "http://h:1234/"),
            ("0.0.0.0", "http://127.0.0.1:11434/"),
            ("0.0.0.0:1", "http://127.0.0.1:1/"),
            ("https://h", "https://h/"),
            ("http://h:1/path", "http://h:1/path"),
            ("[::1]:1", "http://[::1]:1/"),
        ] {
            check(
                Some("a:b"),
                &[("OLLAMA_HOST", host)],
                &format!("ollama {expected} no key"),
            );
        }
        check(
            Some("a:b"),
            &[("OLLAMA_HOST", "ftp://h")],
            "found the scheme `ftp:`",
        );
    }

    #[test]
    fn what_is_said_goes_before_the_environment() {
        let wanted = Wanted {
            provider: Some(GEMINI),
            model: Some("claude-x".to_owned()),
            base_url: Some("http://other".to_owned()),
            api_key: Some("mine".to_owned()),
        };
        let variables = [
            ("GEMINI_API_KEY", "theirs"),
            ("GEMINI_BASE_URL", "http://h"),
        ];
        let found = endpoint(&wanted, &variables).unwrap();
        assert_eq!(found.entry.name, "gemini");
        assert_eq!(found.base.as_str(), "http://other/");
        assert_eq!(found.key.unwrap().1, "mine");
        let nameless = Wanted {
            provider: Some(RESPONSES),
            ..Wanted::default()
        };
        let error = endpoint(&nameless, &[OPENAI_KEY]).err().unwrap();
        assert!(error.to_string().contains("no model"), "{error}");
    }
}
