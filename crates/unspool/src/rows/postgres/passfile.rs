//! `~/.pgpass` and service files, as libpq reads them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The password for a connection, from the file that has them, if it does.
pub(super) fn password(
    file: &Path,
    host: &str,
    port: u16,
    name: &str,
    user: &str,
) -> Option<String> {
    // As libpq does it, what others can read is passed over.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(file).ok()?.permissions().mode();
        if mode & 0o077 != 0 {
            return None;
        }
    }
    let text = fs::read_to_string(file).ok()?;
    let port = port.to_string();
    let wanted = [host, &port, name, user];
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let fields = fields(line);
            let [known @ .., password] = fields.as_slice() else {
                return None;
            };
            let fits = |(known, wanted): (&String, &&str)| known == "*" || known == wanted;
            let is_it = known.len() == wanted.len() && known.iter().zip(&wanted).all(fits);
            is_it.then(|| password.clone())
        })
}

/// The fields of a line, which `:` separates and `\` escapes; the fifth is the last.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        let is_last = fields.len() == 5;
        match (char, fields.last_mut()) {
            (':', _) if !is_last => fields.push(String::new()),
            ('\\', Some(field)) => field.extend(chars.next()),
            (char, Some(field)) => field.push(char),
            (_, None) => {}
        }
    }
    fields
}

/// The settings of a service, from the first of these files that has it.
pub(super) fn service(name: &str, files: &[PathBuf]) -> Result<Vec<(String, String)>, Error> {
    for file in files {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        let mut lines = text.lines().map(str::trim);
        let head = format!("[{name}]");
        if lines.any(|line| line == head) {
            let own = lines.take_while(|line| !line.starts_with('['));
            let pairs = own
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .filter_map(|line| line.split_once('='));
            return Ok(pairs
                .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
                .collect());
        }
    }
    Err(Error::request(format!(
        "there is no service `{name}` in {}",
        files
            .iter()
            .map(|file| format!("`{}`", file.display()))
            .collect::<Vec<_>>()
            .join(" or ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_by_what_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        fs::write(
            &file,
            "# h\nh:1:d:u:first\nh\\:x:*:*:u:a\\:b:c\n*:*:d:*:last\n",
        )
        .unwrap();
        let found = |host, port, name| password(&file, host, port, name, "u");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(found("h", 1, "d"), None);
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert_eq!(found("h", 1, "d").as_deref(), Some("first"));
        assert_eq!(found("h:x", 2, "e").as_deref(), Some("a:b:c"));
        assert_eq!(found("h", 2, "d").as_deref(), Some("last"));
        assert_eq!(found("h", 2, "e"), None);
    }

    #[test]
    fn a_service_has_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("services");
        fs::write(
            &file,
            "[a]\nhost=x\n\n[b]\n# c\nhost = y\ndbname=d=e\n[c]\nport=1\n",
        )
        .unwrap();
        let files = [folder.path().join("none"), file];
        let pairs = service("b", &files).unwrap();
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs, [own("host", "y"), own("dbname", "d=e")]);
        assert!(
            service("d", &files)
                .unwrap_err()
                .to_string()
                .contains("no service `d`")
        );
    }
}
