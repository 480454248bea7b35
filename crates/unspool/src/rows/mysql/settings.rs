//! Where a server is, and how to get there.

use std::path::PathBuf;

use mysql_async::{ClientIdentity, Opts, OptsBuilder, SslOpts};
use url::Url;

use crate::error::Error;

/// How every session is set up: times are in UTC, and a reader that stops for a while does
/// not lose the connection.
const SESSION: [&str; 2] = ["set time_zone = '+00:00'", "set net_write_timeout = 86400"];

pub(super) fn read(dsn: &str, may_write: bool) -> Result<Opts, Error> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    of(dsn, may_write, &variable)
}

fn of(
    dsn: &str,
    may_write: bool,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Opts, Error> {
    let rest = dsn
        .strip_prefix("mysql:")
        .or_else(|| dsn.strip_prefix("mariadb:"));
    let mut url = Url::parse(&format!("mysql:{}", rest.unwrap_or_default())).map_err(|error| {
        Error::request(format!(
            "expected an address as `mysql://user@host/name`: {error}"
        ))
    })?;
    let mut ssl = Ssl::default();
    let mut others = Vec::new();
    for (name, value) in url.query_pairs().into_owned() {
        match name.as_str() {
            "ssl-mode" | "sslmode" => {
                ssl.mode = Some(value.to_ascii_lowercase().replace('-', "_"));
            }
            "ssl-ca" | "sslrootcert" => ssl.roots = Some(PathBuf::from(value)),
            "ssl-cert" | "sslcert" => ssl.certificate = Some(PathBuf::from(value)),
            "ssl-key" | "sslkey" => ssl.key = Some(PathBuf::from(value)),
            _ => others.push((name, value)),
        }
    }
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    let opts = Opts::from_url(url.as_str())
        .map_err(|error| Error::request(format!("the address: {error}")))?;
    let (user, password) = (
        opts.user().map(str::to_owned),
        opts.pass().map(str::to_owned),
    );
    let mut setup = SESSION.map(str::to_owned).to_vec();
    if !may_write {
        setup.push("set session transaction read only".to_owned());
    }
    let builder = OptsBuilder::from_opts(opts)
        .user(user.or_else(|| variable("USER")))
        .pass(password.or_else(|| variable("MYSQL_PWD")))
        .init(setup);
    Ok(builder.ssl_opts(tls(ssl)?).into())
}

/// What an address says of TLS.
#[derive(Default)]
struct Ssl {
    mode: Option<String>,
    roots: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// What `ssl-mode` means, as MySQL's own programs have it; by default there is no TLS.
fn tls(ssl: Ssl) -> Result<Option<SslOpts>, Error> {
    let opts = SslOpts::default();
    let opts = match ssl.roots {
        Some(file) => opts
            .with_root_certs(vec![file.into()])
            .with_disable_built_in_roots(true),
        None => opts,
    };
    let opts = match (ssl.certificate, ssl.key) {
        (Some(certificate), Some(key)) => {
            let own = ClientIdentity::new(certificate.into(), key.into());
            opts.with_client_identity(Some(own))
        }
        (None, None) => opts,
        _ => {
            return Err(Error::request(
                "`ssl-cert` and `ssl-key` in the address of the database go together",
            ));
        }
    };
    Ok(match ssl.mode.as_deref() {
        None | Some("disabled" | "disable") => None,
        Some("required" | "require") => Some(
            opts.with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ),
        Some("verify_ca") => Some(opts.with_danger_skip_domain_validation(true)),
        Some("verify_identity" | "verify_full") => Some(opts),
        Some(_) => {
            return Err(Error::request(
                "expected `disabled`, `required`, `verify_ca` or `verify_identity` as `ssl-mode` in the \
                 address of the database",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dsn: &str) -> Result<Opts, String> {
        let variable = |name: &str| (name == "MYSQL_PWD").then(|| "hush".to_owned());
        of(dsn, false, &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_urls() {
        let opts = read("mariadb://ada:p%40w@h:7/d?socket=/tmp/x").unwrap();
        assert_eq!((opts.ip_or_hostname(), opts.tcp_port()), ("h", 7));
        assert_eq!((opts.user(), opts.pass()), (Some("ada"), Some("p@w")));
        assert_eq!((opts.db_name(), opts.socket()), (Some("d"), Some("/tmp/x")));
        assert!(opts.ssl_opts().is_none());
        let opts = read("mysql://ada@h/d?ssl-mode=REQUIRED").unwrap();
        assert_eq!(opts.pass(), Some("hush"));
        assert!(opts.ssl_opts().is_some_and(SslOpts::accept_invalid_certs));
        let full = read("mysql://ada@h/d?ssl-mode=VERIFY_IDENTITY&ssl-ca=/x").unwrap();
        let full = full.ssl_opts().unwrap();
        assert!(!full.accept_invalid_certs() && !full.skip_domain_validation());
        for dsn in [
            "mysql://h/d?ssl-mode=x",
            "mysql://h/d?ssl-mode=required&ssl-cert=/x",
            "mysql://h/d?colour=x",
            "mysql:",
        ] {
            assert!(read(dsn).is_err(), "{dsn}");
        }
    }
}
