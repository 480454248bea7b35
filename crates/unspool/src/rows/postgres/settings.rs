//! Where a server is, and how to get there: what libpq takes, from where it takes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};

use super::passfile;
use super::tls::{OwnCertificate, Peer, Roots, Verify};
use crate::error::Error;
use crate::rows::dsn::keywords;

/// Settings that are known, each with the variable of the environment that has it.
const KNOWN: &[(&str, &str)] = &[
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("client_encoding", "PGCLIENTENCODING"),
    ("dbname", "PGDATABASE"),
    ("fallback_application_name", ""),
    ("gssencmode", "PGGSSENCMODE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("service", "PGSERVICE"),
    ("servicefile", "PGSERVICEFILE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];

/// Where servers leave their sockets.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Settings that have one meaning here, and the values that say so.
const FIXED: &[(&str, &[&str])] = &[
    (
        "client_encoding",
        &["UTF8", "utf8", "UTF-8", "utf-8", "auto"],
    ),
    ("gssencmode", &["disable", "prefer"]),
];

/// Where a server is, and how to get there.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) tls: Peer,
    /// What is tried where the server does not take a connection that is encrypted, or one
    /// that is not.
    pub(super) otherwise: Option<SslMode>,
}

pub(super) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// Looks up what an address leaves open.
pub(super) struct Surroundings<'s> {
    pub(super) variable: &'s dyn Fn(&str) -> Option<String>,
    pub(super) home: Option<PathBuf>,
}

impl Settings {
    pub(super) fn read(dsn: &str, timeout: Duration) -> Result<Self, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from);
        Settings::of(
            dsn,
            timeout,
            &Surroundings {
                variable: &variable,
                home,
            },
        )
    }

    pub(super) fn of(
        dsn: &str,
        timeout: Duration,
        around: &Surroundings<'_>,
    ) -> Result<Self, Error> {
        let mut pairs: BTreeMap<String, String> = (KNOWN.iter())
            .filter_map(|(name, variable)| Some(((*name).to_owned(), (around.variable)(variable)?)))
            .collect();
        let own = match dsn
            .strip_prefix("postgres:")
            .or_else(|| dsn.strip_prefix("postgresql:"))
        {
            Some(rest) => url(rest)?,
            None => keywords(dsn)?,
        };
        if let Some((name, _)) = own.iter().find(|(name, _)| !is_known(name)) {
            return Err(Error::request(format!(
                "`{name}` is no setting that is known here"
            )));
        }
        let named = own
            .iter()
            .find(|(name, _)| name == "service")
            .map(|(_, value)| value.clone());
        if let Some(name) = named.or_else(|| pairs.get("service").cloned()) {
            let file = own.iter().find(|(name, _)| name == "servicefile");
            pairs.extend(file.cloned());
            let files = service_files(&pairs, around);
            pairs.extend(passfile::service(&name, &files)?);
        }
        pairs.extend(own);
        pairs.retain(|_, value| !value.is_empty());
        configured(&pairs, timeout, around)
    }
}

fn service_files(pairs: &BTreeMap<String, String>, around: &Surroundings<'_>) -> Vec<PathBuf> {
    let own = match pairs.get("servicefile") {
        Some(file) => Some(PathBuf::from(file)),
        None => around
            .home
            .as_ref()
            .map(|home| home.join(".pg_service.conf")),
    };
    let folder = (around.variable)("PGSYSCONFDIR").unwrap_or("/etc/postgresql-common".to_owned());
    own.into_iter()
        .chain([Path::new(&folder).join("pg_service.conf")])
        .collect()
}

/// The settings in a URL, after its scheme.
fn url(rest: &str) -> Result<Vec<(String, String)>, Error> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            pairs.push((name.to_owned(), decoded(value)));
        }
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if let Some(rest) = rest.strip_prefix("//") {
        let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (host, port) = match host.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port),
                _ => (host, ""),
            };
            names.push(host.trim_start_matches('[').trim_end_matches(']'));
            ports.push(port);
        }
        let has_ports = ports.iter().any(|port| !port.is_empty());
        add("user", user);
        add("password", password);
        add("host", &names.join(","));
        add(
            "port",
            &if has_ports {
                ports.join(",")
            } else {
                String::new()
            },
        );
        add("dbname", name);
    } else if !rest.is_empty() {
        return Err(Error::request("expected `//` after `postgres:`"));
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::request("expected `name=value` in the query of the address"))?;
        // JDBC's word for it.
        match (name, value) {
            ("ssl", "true") => add("sslmode", "require"),
            _ => add(name, value),
        }
    }
    Ok(pairs)
}

/// Settings as they were found, and where else to look.
struct Found<'f> {
    pairs: &'f BTreeMap<String, String>,
    around: &'f Surroundings<'f>,
}

fn configured(
    pairs: &BTreeMap<String, String>,
    timeout: Duration,
    around: &Surroundings<'_>,
) -> Result<Settings, Error> {
    let found = Found { pairs, around };
    found.check()?;
    let mut config = Config::new();
    let user = found.user()?;
    let name = found.value("dbname").unwrap_or(&user).to_owned();
    config.user(&user).dbname(&name);
    found.add_session(&mut config, timeout)?;
    let ports = ports(found.value("port").unwrap_or("5432"))?;
    let hosts = hosts(found.value("host"), found.value("hostaddr"), ports[0]);
    found.add_servers(&mut config, &hosts, &ports)?;
    let is_local = hosts.iter().all(|host| host.starts_with('/'));
    let host = if is_local { "localhost" } else { &hosts[0] };
    if let Some(password) = found.password([host, &name, &user], ports[0]) {
        config.password(password);
    }
    let TlsSettings {
        mode,
        otherwise,
        tls,
    } = found.tls()?;
    if is_local {
        // As libpq has it: nobody listens there.
        config.ssl_mode(SslMode::Disable);
        return Ok(Settings {
            config,
            tls: Peer::default(),
            otherwise: None,
        });
    }
    config.ssl_mode(mode);
    config.channel_binding(channel_binding(found.value("channel_binding"))?);
    Ok(Settings {
        config,
        tls,
        otherwise,
    })
}

impl Found<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.pairs.get(name).map(String::as_str)
    }

    /// That nothing is asked for that is known, and not there.
    fn check(&self) -> Result<(), Error> {
        for (name, fits) in FIXED {
            if self.value(name).is_some_and(|value| !fits.contains(&value)) {
                return Err(wrong(name, &format!("`{}`", fits.join("` or `"))));
            }
        }
        Ok(())
    }

    fn user(&self) -> Result<String, Error> {
        let variable = self.around.variable;
        (self.value("user").map(str::to_owned))
            .or_else(|| variable("USER"))
            .or_else(|| variable("LOGNAME"))
            .ok_or_else(|| {
                Error::request("expected a user in the address, in `PGUSER` or in `USER`")
            })
    }

    /// How the session is called, begins, and what of a server it wants.
    fn add_session(&self, config: &mut Config, timeout: Duration) -> Result<(), Error> {
        let name = self
            .value("application_name")
            .or_else(|| self.value("fallback_application_name"));
        config.application_name(name.unwrap_or("unspool"));
        if let Some(options) = self.value("options") {
            config.options(options);
        }
        config.connect_timeout(connect_timeout(self.value("connect_timeout"), timeout)?);
        if let Some(attributes) = self.value("target_session_attrs") {
            config.target_session_attrs(session_attributes(attributes)?);
        }
        Ok(())
    }

    fn add_servers(
        &self,
        config: &mut Config,
        hosts: &[String],
        ports: &[u16],
    ) -> Result<(), Error> {
        for host in hosts {
            config.host(host);
        }
        for port in ports {
            config.port(*port);
        }
        for address in self
            .value("hostaddr")
            .into_iter()
            .flat_map(|all| all.split(','))
        {
            let address = address.parse();
            config.hostaddr(address.map_err(|_| wrong("hostaddr", "an IP address"))?);
        }
        Ok(())
    }

    /// The password for a host, database and user, from the settings or from the file that has
    /// them.
    fn password(&self, [host, name, user]: [&str; 3], port: u16) -> Option<String> {
        if let Some(password) = self.value("password") {
            return Some(password.to_owned());
        }
        let file = match self.value("passfile") {
            Some(file) => PathBuf::from(file),
            None => self.around.home.as_ref()?.join(".pgpass"),
        };
        passfile::password(&file, host, port, name, user)
    }

    /// What `sslmode` means, as libpq has it.
    fn tls(&self) -> Result<TlsSettings, Error> {
        let roots = self.roots();
        let needed = || {
            roots.clone().ok_or_else(|| {
                Error::request(
                    "there is no root certificate: `sslrootcert=FILE` names one, \
                     `sslrootcert=system` trusts what this machine trusts",
                )
            })
        };
        let default = if self.value("sslrootcert") == Some("system") {
            "verify-full"
        } else {
            "prefer"
        };
        let (mode, verify, otherwise) = match self.value("sslmode").unwrap_or(default) {
            "disable" => (SslMode::Disable, Verify::Nothing, None),
            "allow" => (SslMode::Disable, Verify::Nothing, Some(SslMode::Require)),
            "prefer" => (SslMode::Prefer, Verify::Nothing, Some(SslMode::Disable)),
            // With a root certificate it is `verify-ca`, for those who have always had one.
            "require" => match roots {
                Some(roots) => (SslMode::Require, Verify::Chain(roots), None),
                None => (SslMode::Require, Verify::Nothing, None),
            },
            "verify-ca" => (SslMode::Require, Verify::Chain(needed()?), None),
            "verify-full" => (SslMode::Require, Verify::Full(needed()?), None),
            _ => {
                return Err(wrong(
                    "sslmode",
                    "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`",
                ));
            }
        };
        let is_used = mode != SslMode::Disable || otherwise.is_some();
        let own = if is_used {
            self.own_certificate()
        } else {
            None
        };
        let tls = Peer { verify, own };
        Ok(TlsSettings {
            mode,
            otherwise,
            tls,
        })
    }

    fn roots(&self) -> Option<Roots> {
        match self.value("sslrootcert") {
            Some("system") => Some(Roots::System),
            Some(file) => Some(Roots::File(PathBuf::from(file))),
            None => self.usual("root.crt").map(Roots::File),
        }
    }

    /// The certificate that a server may ask for: the one that is named, or the usual one
    /// where there is one.
    fn own_certificate(&self) -> Option<OwnCertificate> {
        let named = |name: &str| self.value(name).map(PathBuf::from);
        Some(OwnCertificate {
            certificate: named("sslcert").or_else(|| self.usual("postgresql.crt"))?,
            key: named("sslkey").or_else(|| self.usual("postgresql.key")),
        })
    }

    /// A file where libpq looks for it, if it is there.
    fn usual(&self, name: &str) -> Option<PathBuf> {
        let home = self.around.home.as_ref()?;
        Some(home.join(".postgresql").join(name)).filter(|file| file.exists())
    }
}

/// What the settings say of TLS.
struct TlsSettings {
    mode: SslMode,
    otherwise: Option<SslMode>,
    tls: Peer,
}

fn channel_binding(text: Option<&str>) -> Result<ChannelBinding, Error> {
    match text {
        Some("disable") => Ok(ChannelBinding::Disable),
        None | Some("prefer") => Ok(ChannelBinding::Prefer),
        Some("require") => Ok(ChannelBinding::Require),
        Some(_) => Err(wrong("channel_binding", "`disable`, `prefer` or `require`")),
    }
}

/// How long a connection is waited for; zero is for ever in libpq, and the usual time here.
fn connect_timeout(seconds: Option<&str>, usual: Duration) -> Result<Duration, Error> {
    match seconds.map(str::parse::<u64>) {
        None | Some(Ok(0)) => Ok(usual),
        Some(Ok(seconds)) => Ok(Duration::from_secs(seconds)),
        Some(Err(_)) => Err(wrong("connect_timeout", "seconds")),
    }
}

fn session_attributes(text: &str) -> Result<TargetSessionAttrs, Error> {
    match text {
        "any" | "prefer-standby" => Ok(TargetSessionAttrs::Any),
        "read-write" | "primary" => Ok(TargetSessionAttrs::ReadWrite),
        "read-only" | "standby" => Ok(TargetSessionAttrs::ReadOnly),
        _ => Err(wrong(
            "target_session_attrs",
            "`any`, `read-write` or `read-only`",
        )),
    }
}

fn ports(text: &str) -> Result<Vec<u16>, Error> {
    let port = |text: &str| match text {
        "" => Ok(5432),
        text => text
            .parse()
            .map_err(|_| wrong("port", "a number up to 65535")),
    };
    text.split(',').map(port).collect()
}

/// The hosts; where none is said the folder of a socket that is there, or else this machine.
fn hosts(hosts: Option<&str>, addresses: Option<&str>, port: u16) -> Vec<String> {
    if let Some(hosts) = hosts.or(addresses) {
        return hosts.split(',').map(str::to_owned).collect();
    }
    let has_socket = |folder: &&&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    let folder = SOCKET_FOLDERS.iter().find(has_socket);
    vec![folder.map_or("localhost", |folder| *folder).to_owned()]
}

/// The value is not shown: it may be a password that a mistake put there.
fn wrong(name: &str, expected: &str) -> Error {
    Error::request(format!(
        "expected {expected} as `{name}` in the address of the database"
    ))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    fn read(dsn: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let around = Surroundings {
            variable: &variable,
            home: None,
        };
        Settings::of(dsn, Duration::from_secs(9), &around).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check(
        dsn: &str,
        variables: &[(&str, &str)],
        expected: (&str, u16, &str, &str, Option<&str>),
    ) {
        let config = read(dsn, variables).unwrap().config;
        let host = match &config.get_hosts()[0] {
            Host::Tcp(host) => host.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let password = config
            .get_password()
            .map(|bytes| std::str::from_utf8(bytes).unwrap());
        let found = (
            host.as_str(),
            config.get_ports()[0],
            config.get_user().unwrap(),
            config.get_dbname().unwrap(),
            password,
        );
        assert_eq!(found, expected, "{dsn}");
    }

    #[test]
    fn addresses_are_read_as_libpq_does() {
        let user = &[("USER", "me")][..];
        check(
            "postgres://a:p%40w@h:1/d",
            &[],
            ("h", 1, "a", "d", Some("p@w")),
        );
        check("postgresql://h", user, ("h", 5432, "me", "me", None));
        check("postgres://[::1]:7/d", user, ("::1", 7, "me", "d", None));
        check(
            "postgres:///d?host=/run/x&user=b",
            &[],
            ("/run/x", 5432, "b", "d", None),
        );
        check(
            "host=h port=2 user='a b' dbname=d",
            &[],
            ("h", 2, "a b", "d", None),
        );
        let around = &[
            ("PGHOST", "e"),
            ("PGPORT", "3"),
            ("PGUSER", "v"),
            ("PGPASSWORD", "w"),
            ("PGDATABASE", "x"),
        ];
        check("postgres:", around, ("e", 3, "v", "x", Some("w")));
        check("postgres://h/d", around, ("h", 3, "v", "d", Some("w")));
    }

    #[test]
    fn sslmode_means_what_libpq_means() {
        for (more, mode) in [
            ("sslmode=disable", SslMode::Disable),
            ("sslmode=allow", SslMode::Disable),
            ("", SslMode::Prefer),
            ("sslmode=require", SslMode::Require),
            ("sslrootcert=system", SslMode::Require),
        ] {
            let settings = read(&format!("host=h user=u {more}"), &[]).unwrap();
            assert_eq!(settings.config.get_ssl_mode(), mode, "{more}");
            let otherwise = match more {
                "sslmode=allow" => Some(SslMode::Require),
                "" => Some(SslMode::Disable),
                _ => None,
            };
            assert_eq!(settings.otherwise, otherwise, "{more}");
            assert_eq!(
                matches!(settings.tls.verify, Verify::Full(_)),
                more.ends_with("system")
            );
        }
        let error = read("host=h user=u sslmode=verify-full", &[]).unwrap_err();
        assert!(error.contains("no root certificate"), "{error}");
        let full = read("host=h user=u sslmode=require sslrootcert=x", &[]).unwrap();
        assert!(matches!(full.tls.verify, Verify::Chain(_)));
    }

    #[test]
    fn what_is_bound_and_shown_to_a_server_is_as_libpq_has_it() {
        let read = |more: &str| read(&format!("host=h user=u {more}"), &[]).unwrap();
        for (more, expected) in [
            ("", ChannelBinding::Prefer),
            ("channel_binding=prefer", ChannelBinding::Prefer),
            ("channel_binding=disable", ChannelBinding::Disable),
            ("channel_binding=require", ChannelBinding::Require),
        ] {
            assert_eq!(read(more).config.get_channel_binding(), expected, "{more}");
        }
        let own = read("sslcert=/a sslkey=/b").tls.own.unwrap();
        assert_eq!((own.certificate, own.key), ("/a".into(), Some("/b".into())));
        // Where no connection is encrypted, nobody looks for it.
        assert!(read("sslcert=/a sslmode=disable").tls.own.is_none());
        assert!(read("sslcert=/a host=/run").tls.own.is_none());
        read("client_encoding=utf8 gssencmode=disable fallback_application_name=x");
    }

    #[test]
    fn what_is_wrong_in_an_address_is_named_without_its_value() {
        for (dsn, words) in [
            ("postgres://u@h/d?sslmode=hush", "`sslmode`"),
            ("postgres://u@h:hush/d", "`port`"),
            ("postgres://u@h/d?colour=hush", "`colour`"),
            ("postgres://u@h/d?channel_binding=hush", "`channel_binding`"),
            ("postgres://u@h/d?gssencmode=hush", "`gssencmode`"),
            ("postgres://u@h/d?client_encoding=hush", "`UTF8`"),
            ("postgres://u@h/d?connect_timeout=hush", "`connect_timeout`"),
            ("postgres://u@h/d?hostaddr=hush", "`hostaddr`"),
            (
                "postgres://u@h/d?target_session_attrs=hush",
                "`target_session_attrs`",
            ),
            ("postgres:h", "`//`"),
            ("postgres://h", "`PGUSER`"),
        ] {
            let error = read(dsn, &[]).unwrap_err();
            assert!(
                error.contains(words) && !error.contains("hush"),
                "{dsn}: {error}"
            );
        }
    }
}
