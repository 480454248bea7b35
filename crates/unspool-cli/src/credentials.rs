//! Flags that say who the user is.

use std::path::PathBuf;

use reqwest::Url;
use unspool::ClientCredentials;

use crate::report::SECRETS;
use crate::{expand, flags, netrc};

/// What stands in the help of every one of them, once.
pub(crate) const HELP: &str = "\
Credentials go to the origin of URL only, and to that of `--also-origin`: a redirect or a next link
to another one gets none of them. In their values, in those of `-H` and in URL `${NAME}` is replaced
by a variable of the environment ('${NAME}' in quotes, so that the shell leaves it; `$${` is a `${`),
and a value `@FILE` by what stands in a file: so a secret is in no list of processes.";

/// What is wrong with a value that is not there.
const EMPTY: &str = "the value is empty; is a variable not set?";

#[derive(clap::Args)]
#[command(next_help_heading = "Credentials")]
pub(crate) struct Credentials {
    /// Send user and password.
    #[arg(short, long, value_name = "USER:PASSWORD", conflicts_with_all = ["bearer", "netrc", "netrc_file", "oauth2_token_url"])]
    user: Option<String>,

    /// Send a token, as `Authorization: Bearer TOKEN`.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["netrc", "netrc_file", "oauth2_token_url"])]
    bearer: Option<String>,

    /// Send a key in a header, such as `X-Api-Key=VALUE`.
    #[arg(long, value_name = "NAME=VALUE")]
    api_key: Vec<String>,

    /// Send a key in the query, such as `api_key=VALUE`.
    ///
    /// Unlike one in URL, it is in no message, and not in what `--account` writes.
    #[arg(long, value_name = "NAME=VALUE")]
    api_key_query: Vec<String>,

    /// Send cookies.
    ///
    /// Those that the server sets go back to it in any case.
    #[arg(short = 'b', long, value_name = "NAME=VALUE; …")]
    cookie: Vec<String>,

    /// Take user and password from `~/.netrc`.
    ///
    /// Or from the file that the variable `NETRC` names.
    #[arg(short, long, conflicts_with_all = ["netrc_file", "oauth2_token_url"])]
    netrc: bool,

    /// Take user and password from FILE, which is like `.netrc`.
    #[arg(long, value_name = "FILE", conflicts_with = "oauth2_token_url")]
    netrc_file: Option<PathBuf>,

    /// Send them, and a body, also to the origin of another URL.
    ///
    /// For a server that has several names, as one behind a proxy that gives links with its own.
    #[arg(long, value_name = "URL")]
    also_origin: Vec<String>,

    /// Get tokens from URL (OAuth 2.0, client credentials).
    ///
    /// They are renewed before they expire.
    #[arg(long, value_name = "URL", requires_all = ["oauth2_client_id", "oauth2_client_secret"])]
    oauth2_token_url: Option<String>,

    /// Get the tokens for this client.
    #[arg(long, value_name = "ID", requires = "oauth2_token_url")]
    oauth2_client_id: Option<String>,

    /// Use this secret, which goes to the token URL only.
    #[arg(long, value_name = "SECRET", requires = "oauth2_token_url")]
    oauth2_client_secret: Option<String>,

    /// Ask for tokens that allow this; spaces between names.
    #[arg(long, value_name = "SCOPE", requires = "oauth2_token_url")]
    oauth2_scope: Option<String>,

    /// Send a further parameter to the token URL.
    ///
    /// Such as `audience=VALUE`.
    #[arg(long, value_name = "NAME=VALUE", requires = "oauth2_token_url")]
    oauth2_param: Vec<String>,

    /// Send the client and its secret in the body.
    ///
    /// For servers that do not take them as user and password.
    #[arg(long, requires = "oauth2_token_url")]
    oauth2_in_body: bool,
}

impl Credentials {
    /// The request with them; `url` is where it goes.
    pub(crate) fn apply<R: TakesCredentials>(
        &self,
        mut request: R,
        url: &str,
    ) -> Result<R, String> {
        if let Some((user, password)) = self.user_and_password(url)? {
            SECRETS.keep(&password);
            request = request.basic_auth(&user, &password);
        }
        if let Some(token) = &self.bearer {
            let token = secret("--bearer", token)?;
            request = request.bearer_auth(&token);
        }
        for text in &self.api_key {
            let (name, key) = pair("--api-key", text)?;
            request = request.api_key_header(&name, &key);
        }
        for text in &self.api_key_query {
            let (name, key) = pair("--api-key-query", text)?;
            request = request.api_key_query(&name, &key);
        }
        for text in &self.cookie {
            let text = value("--cookie", text)?;
            for cookie in text.split(';') {
                let (name, value) = (cookie.split_once('='))
                    .ok_or("--cookie: expected `NAME=VALUE`, or several with `;` in between")?;
                SECRETS.keep(value.trim());
                request = request.cookie(name.trim(), value.trim());
            }
        }
        for url in &self.also_origin {
            request = request.also_origin(&expand::address(url)?);
        }
        match self.oauth2()? {
            Some(client) => Ok(request.oauth2(client)),
            None => Ok(request),
        }
    }

    fn user_and_password(&self, url: &str) -> Result<Option<(String, String)>, String> {
        if let Some(text) = &self.user {
            let text = value("--user", text)?;
            if text == ":" {
                return Err(format!("--user: {EMPTY}"));
            }
            let (user, password) = text.split_once(':').unwrap_or((&text, ""));
            return Ok(Some((user.to_owned(), password.to_owned())));
        }
        let path = match (&self.netrc_file, self.netrc) {
            (Some(path), _) => path.clone(),
            (None, true) => in_flag("--netrc", netrc::usual_path())?,
            (None, false) => return Ok(None),
        };
        // An invalid URL will be refused as such.
        let Ok(url) = Url::parse(url) else {
            return Ok(None);
        };
        let host = url.host_str().unwrap_or_default();
        let entry = in_flag("--netrc", netrc::find(&path, host, url.username()))?;
        Ok(Some((entry.login, entry.password)))
    }

    fn oauth2(&self) -> Result<Option<ClientCredentials>, String> {
        let (Some(url), Some(id), Some(text)) = (
            &self.oauth2_token_url,
            &self.oauth2_client_id,
            &self.oauth2_client_secret,
        ) else {
            return Ok(None);
        };
        let url = in_flag("--oauth2-token-url", expand::address(url))?;
        let id = value("--oauth2-client-id", id)?;
        let secret = secret("--oauth2-client-secret", text)?;
        let mut client = ClientCredentials::new(url, id, secret);
        if let Some(scope) = &self.oauth2_scope {
            client = client.scope(scope);
        }
        for text in &self.oauth2_param {
            let (name, value) =
                (text.split_once('=')).ok_or("--oauth2-param: expected `NAME=VALUE`")?;
            client = client.parameter(name, self::value("--oauth2-param", value)?);
        }
        Ok(Some(match self.oauth2_in_body {
            true => client.in_body(),
            false => client,
        }))
    }
}

/// A request that takes them all.
pub(crate) trait TakesCredentials: Sized {
    fn basic_auth(self, user: &str, password: &str) -> Self;
    fn bearer_auth(self, token: &str) -> Self;
    fn api_key_header(self, name: &str, key: &str) -> Self;
    fn api_key_query(self, name: &str, key: &str) -> Self;
    fn cookie(self, name: &str, value: &str) -> Self;
    fn also_origin(self, url: &str) -> Self;
    fn oauth2(self, client: ClientCredentials) -> Self;
}

macro_rules! takes_credentials {
    ($request:ty) => {
        impl TakesCredentials for $request {
            fn basic_auth(self, user: &str, password: &str) -> Self {
                self.basic_auth(user, password)
            }
            fn bearer_auth(self, token: &str) -> Self {
                self.bearer_auth(token)
            }
            fn api_key_header(self, name: &str, key: &str) -> Self {
                self.api_key_header(name, key)
            }
            fn api_key_query(self, name: &str, key: &str) -> Self {
                self.api_key_query(name, key)
            }
            fn cookie(self, name: &str, value: &str) -> Self {
                self.cookie(name, value)
            }
            fn also_origin(self, url: &str) -> Self {
                self.also_origin(url)
            }
            fn oauth2(self, client: ClientCredentials) -> Self {
                self.oauth2(client)
            }
        }
    };
}

takes_credentials!(unspool::pages::Request);
takes_credentials!(unspool::events::Request);

/// The headers of `-H`.
pub(crate) fn headers(texts: &[String]) -> Result<Vec<flags::Header>, String> {
    let mut headers = Vec::new();
    for text in texts {
        let text = value("--header", text)?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (name, value) = in_flag("--header", flags::header(line))?;
            if !flags::is_harmless(&name) {
                // The word after `Bearer` is the secret, not that one.
                let words = value.to_str().unwrap_or_default().split(' ');
                words
                    .skip_while(|word| flags::is_scheme(word))
                    .for_each(|word| SECRETS.keep(word));
            }
            headers.push((name, value));
        }
    }
    Ok(headers)
}

/// A value that stands in a flag, in the environment or in a file.
fn value(flag: &str, text: &str) -> Result<String, String> {
    let value = in_flag(flag, expand::value(text))?;
    if value.trim().is_empty() {
        return Err(format!("{flag}: {EMPTY}"));
    }
    Ok(value)
}

/// A value that is to be in no message.
pub(crate) fn secret(flag: &str, text: &str) -> Result<String, String> {
    let value = value(flag, text)?;
    SECRETS.keep(&value);
    Ok(value)
}

/// `NAME=VALUE`, where the value is a secret.
fn pair(flag: &str, text: &str) -> Result<(String, String), String> {
    let (name, text) = (text.split_once('='))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| format!("{flag}: expected `NAME=VALUE`"))?;
    Ok((name.to_owned(), secret(flag, text)?))
}

/// Names the flag, and not its value, which may be a secret.
fn in_flag<T>(flag: &str, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|error| format!("{flag}: {error}"))
}
