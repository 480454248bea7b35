//! A MariaDB server of a test's own: in a temporary folder, on a socket in that folder.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::postgres::command;

/// How long a server may take to start.
const LONGEST_START: Duration = Duration::from_secs(60);

/// A server at work; it ends with this value.
pub struct MariaDb {
    folder: TempDir,
    process: Child,
    databases: AtomicUsize,
}

impl MariaDb {
    /// The server that all tests of this program share as long as one of them has it.
    ///
    /// # Errors
    ///
    /// Says why there is none: it is not installed, or there is no user who may run it.
    pub fn shared() -> Result<Arc<Self>, String> {
        static SHARED: Mutex<Weak<MariaDb>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(MariaDb::start()?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    fn start() -> Result<Self, String> {
        MariaDb::start_with(&["--skip-networking".to_owned()])
    }

    /// A new server that listens on a free port of 127.0.0.1 as well, with this certificate and
    /// key (PEM), and the certificates whose holders it knows. Gives it with its port.
    ///
    /// # Errors
    ///
    /// As [`shared`](MariaDb::shared).
    pub fn start_with_tls(
        certificate: &str,
        key: &str,
        clients: &str,
    ) -> Result<(Self, u16), String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        drop(listener);
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let files = [("cert", certificate), ("key", key), ("ca", clients)];
        let mut flags = vec![
            "--bind-address=127.0.0.1".to_owned(),
            format!("--port={port}"),
        ];
        // The server runs as another user, where this program is root.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::write(&file, text).map_err(|error| error.to_string())?;
            flags.push(format!("--ssl-{name}={}", file.display()));
        }
        // Once it answers, it has read them.
        Ok((MariaDb::start_with(&flags)?, port))
    }

    fn start_with(flags: &[String]) -> Result<Self, String> {
        let missing = "there is no MariaDB server (Debian has it in `mariadb-server`)";
        let server = ["/usr/sbin/mariadbd", "/usr/bin/mariadbd"].map(Path::new);
        let server = server
            .into_iter()
            .find(|path| path.exists())
            .ok_or(missing)?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        // The server runs as another user, where this program is root.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let data = format!("--datadir={}", folder.path().join("data").display());
        let mut install = command(Path::new("/usr/bin/mariadb-install-db"))?;
        let install = install
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                &data,
            ])
            // A server that starts removes what others have left in the folder that all share.
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("mariadb-install-db cannot be run: {error}"))?;
        if !install.status.success() {
            return Err(String::from_utf8_lossy(&install.stderr).into_owned());
        }
        let socket = format!("--socket={}", folder.path().join("s").display());
        let process = command(server)?
            .args(["--no-defaults", "--innodb-flush-log-at-trx-commit=0"])
            .args(flags)
            .args(["--character-set-server=utf8mb4", &data, &socket])
            .arg(format!(
                "--pid-file={}",
                folder.path().join("pid").display()
            ))
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("mariadbd cannot be run: {error}"))?;
        let mut server = MariaDb {
            folder,
            process,
            databases: AtomicUsize::new(0),
        };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<(), String> {
        let until = Instant::now() + LONGEST_START;
        while Instant::now() < until {
            let asked = self.client("mysql", "select 1").output();
            if asked.is_ok_and(|output| output.status.success()) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("mariadbd ended: {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("mariadbd does not start".to_owned())
    }

    /// The address of a new database, without a password.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("mysql", &format!("create database {name}"));
        let socket = self.folder.path().join("s");
        format!("mysql://root@localhost/{name}?socket={}", socket.display())
    }

    /// What the server's own client prints for statements: a line for each row, with tabs
    /// between the columns. The database may be an address that
    /// [`database`](MariaDb::database) gave.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let name = database
            .split_once('?')
            .map_or(database, |(address, _)| address);
        let (_, name) = name.rsplit_once('/').unwrap_or(("", name));
        let output = self.client(name, sql).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn client(&self, database: &str, sql: &str) -> Command {
        let mut client = Command::new("mariadb");
        client
            .args([
                "--no-defaults",
                "--user=root",
                "--batch",
                "--raw",
                "--skip-column-names",
            ])
            .arg("--default-character-set=utf8mb4")
            .arg(format!(
                "--socket={}",
                self.folder.path().join("s").display()
            ))
            .arg(format!("--database={database}"))
            .args(["--execute", sql])
            .stdin(Stdio::null());
        client
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // Its data goes away with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
