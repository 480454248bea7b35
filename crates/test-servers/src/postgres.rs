//! A PostgreSQL server of a test's own: in a temporary folder, on a socket in that folder.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to start.
const LONGEST_START: Duration = Duration::from_secs(60);

/// A server at work; it ends with this value.
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    settings: Vec<String>,
    port: String,
    process: Mutex<Child>,
    databases: AtomicUsize,
}

impl Postgres {
    /// The server that all tests of this program share as long as one of them has it.
    ///
    /// # Errors
    ///
    /// Says why there is none: it is not installed, or there is no user who may run it.
    pub fn shared() -> Result<Arc<Self>, String> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Postgres::start()?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// A new server.
    ///
    /// # Errors
    ///
    /// As [`shared`](Postgres::shared).
    pub fn start() -> Result<Self, String> {
        Postgres::start_with(&[], |_| Ok(()))
    }

    /// A new server that listens on a free port of 127.0.0.1 as well, where it wants TLS, with
    /// this certificate and key (PEM), and passwords. Gives it with its port.
    ///
    /// # Errors
    ///
    /// As [`shared`](Postgres::shared).
    pub fn start_with_tls(certificate: &str, key: &str) -> Result<(Self, u16), String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        drop(listener);
        let settings = ["listen_addresses=127.0.0.1".to_owned(), "ssl=on".to_owned()];
        let access = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        let files = [
            ("server.crt", certificate),
            ("server.key", key),
            ("pg_hba.conf", access),
        ];
        let prepare = |data: &Path| {
            let owner = fs::metadata(data)?;
            for (name, text) in files {
                let file = data.join(name);
                fs::write(&file, text)?;
                fs::set_permissions(&file, Permissions::from_mode(0o600))?;
                chown(&file, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(())
        };
        let tcp = [settings.to_vec(), vec![format!("port={port}")]].concat();
        Ok((Postgres::start_with(&tcp, prepare)?, port))
    }

    fn start_with(
        settings: &[String],
        prepare: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<Self, String> {
        let programs = programs()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        // The server runs as another user, where this program is root.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let mut initdb = command(&programs.join("initdb"))?;
        initdb.args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ]);
        let output = initdb.arg(folder.path().join("data")).output();
        let output = output.map_err(|error| format!("initdb cannot be run: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        prepare(&folder.path().join("data")).map_err(|error| error.to_string())?;
        let process = Mutex::new(spawn(&programs, folder.path(), settings)?);
        let port = settings
            .iter()
            .find_map(|setting| setting.strip_prefix("port="));
        let server = Postgres {
            programs,
            port: port.unwrap_or("5432").to_owned(),
            settings: settings.to_vec(),
            folder,
            process,
            databases: AtomicUsize::new(0),
        };
        server.wait();
        Ok(server)
    }

    /// The address of a new database, without a password.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("create database {name}"));
        self.address(&name)
    }

    /// The address of a database by its name; `postgres` is always there.
    pub fn address(&self, database: &str) -> String {
        let host = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{host}/{database}")
    }

    /// The socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        (self.folder.path()).join(format!(".s.PGSQL.{}", self.port))
    }

    /// What `psql` prints for a statement: a line for each row, with `|` between the columns.
    /// The database may be an address that [`database`](Postgres::database) gave.
    #[track_caller]
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let (_, name) = database.rsplit_once('/').unwrap_or(("", database));
        let output = Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-U",
                "postgres",
                "-v",
                "ON_ERROR_STOP=1",
                "-At",
                "-d",
                name,
                "-c",
                sql,
                "-h",
            ])
            .arg(self.folder.path())
            .args(["-p", &self.port])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Kills the server as a power cut would, and starts it again.
    pub fn crash(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.kill().unwrap();
        process.wait().unwrap();
        let until = Instant::now() + LONGEST_START;
        // The processes of the old server may take a moment to see that it is gone.
        loop {
            *process = spawn(&self.programs, self.folder.path(), &self.settings).unwrap();
            if self.is_ready_before(&mut process, until) {
                return;
            }
            assert!(Instant::now() < until, "the server does not start again");
        }
    }

    fn wait(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ready = self.is_ready_before(&mut process, Instant::now() + LONGEST_START);
        assert!(is_ready, "the server does not start");
    }

    /// Whether it takes connections, or false once it has ended.
    fn is_ready_before(&self, process: &mut Child, until: Instant) -> bool {
        while Instant::now() < until {
            let mut ready = Command::new(self.programs.join("pg_isready"));
            let ready = ready
                .args(["-q", "-p", &self.port, "-h"])
                .arg(self.folder.path())
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return true;
            }
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let process = self
            .process
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // At once, and its processes with it.
        let _ = Command::new("kill")
            .args(["-QUIT", &process.id().to_string()])
            .status();
        let _ = process.wait();
    }
}

fn spawn(programs: &Path, folder: &Path, settings: &[String]) -> Result<Child, String> {
    let mut server = command(&programs.join("postgres"))?;
    server
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder);
    let usual = ["listen_addresses=", "fsync=off", "log_min_messages=panic"];
    // The last one of a name counts.
    for setting in usual.into_iter().chain(settings.iter().map(String::as_str)) {
        server.args(["-c", setting]);
    }
    server.stdout(Stdio::null()).stderr(Stdio::null());
    server
        .spawn()
        .map_err(|error| format!("postgres cannot be run: {error}"))
}

/// The folder of the server's programs, the newest where there are several.
fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .map(|version| version.path())
        .filter(|path| path.join("bin/initdb").exists())
        .map(|path| {
            let version = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            (version.unwrap_or(0), path.join("bin"))
        })
        .collect();
    found.sort();
    match found.pop() {
        Some((_, folder)) => Ok(folder),
        None => Err("there is no PostgreSQL server (Debian has it in `postgresql`)".to_owned()),
    }
}

/// A program, as somebody else where we are root: the server refuses to run as root.
pub(crate) fn command(program: &Path) -> Result<Command, String> {
    let mut command = Command::new(program);
    command.current_dir("/");
    if fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let ids = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| ids(&users, name));
        let (user, group) = ids.ok_or("there is no user `postgres` or `nobody` to run it as")?;
        command.uid(user).gid(group);
    }
    Ok(command)
}

fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let user = users.lines().map(fields).find(|fields| fields[0] == name)?;
    Some((user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
}
