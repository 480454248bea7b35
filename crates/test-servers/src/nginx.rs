//! An nginx of a test's own with its module nchan, which serves feeds over HTTP: on a free port
//! of 127.0.0.1. What it has in its buffer goes away when it is killed.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;

/// How long a server may take to start.
const LONGEST_START: Duration = Duration::from_secs(60);

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// A server at work; it ends with this value. It has the feed of one channel at `/sub` (in
/// whatever way it is asked for) and `/raw` (lines).
pub struct Nginx {
    folder: TempDir,
    port: u16,
    process: Mutex<Child>,
}

impl Nginx {
    /// A new server.
    ///
    /// # Errors
    ///
    /// Says why there is none: it is not installed.
    pub fn start() -> Result<Self, String> {
        if !Path::new(MODULE).exists() {
            return Err("there is no nchan (Debian has it in `libnginx-mod-nchan`)".to_owned());
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let port = free_port();
        let path = folder.path().display();
        let config = format!(
            "daemon off; worker_processes 1; pid {path}/pid; load_module {MODULE};\n\
             error_log {path}/errors;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
               fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
               nchan_message_buffer_length 10000; nchan_message_timeout 1h;\n\
               server {{ listen 127.0.0.1:{port};\n\
                 location /pub {{ nchan_publisher; nchan_channel_id c; }}\n\
                 location /sub {{ nchan_subscriber; nchan_channel_id c; }}\n\
                 location /raw {{ nchan_subscriber http-raw-stream; nchan_channel_id c; default_type application/x-ndjson; }}\n\
                 location /up {{ return 200; }} }} }}\n"
        );
        fs::write(folder.path().join("nginx.conf"), config).map_err(|error| error.to_string())?;
        let process = Mutex::new(spawn(&folder)?);
        let server = Nginx {
            folder,
            port,
            process,
        };
        server.wait();
        Ok(server)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Publishes a message.
    #[track_caller]
    pub fn publish(&self, message: &str) {
        let answer = self.request("POST", "/pub", message).unwrap();
        let is_taken = answer.starts_with("HTTP/1.1 2");
        assert!(is_taken, "{answer}");
    }

    fn request(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Kills the server, and starts it again, with nothing in its buffer.
    pub fn crash(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        kill(&self.folder, &mut process);
        *process = spawn(&self.folder).unwrap();
        drop(process);
        self.wait();
    }

    fn wait(&self) {
        let until = Instant::now() + LONGEST_START;
        while !self
            .request("GET", "/up", "")
            .is_ok_and(|answer| answer.contains("200"))
        {
            let errors = || fs::read_to_string(self.folder.path().join("errors"));
            assert!(
                Instant::now() < until,
                "nginx does not start: {:?}",
                errors()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let process = self
            .process
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        kill(&self.folder, process);
    }
}

/// Kills the process and its worker, which would live on.
fn kill(folder: &TempDir, process: &mut Child) {
    let parent = process.id().to_string();
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let _ = process.kill();
    let _ = process.wait();
    for worker in children.unwrap_or_default().split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", worker]).status();
    }
    let _ = fs::remove_file(folder.path().join("pid"));
}

fn spawn(folder: &TempDir) -> Result<Child, String> {
    let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(Path::new);
    let nginx = nginx.into_iter().find(|path| path.exists());
    Command::new(nginx.unwrap_or(Path::new("nginx")))
        .arg("-c")
        .arg(folder.path().join("nginx.conf"))
        .args(["-g", if is_root() { "user root;" } else { "" }])
        .arg("-e")
        .arg(folder.path().join("errors"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("no nginx (Debian has it in `nginx`): {error}"))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
