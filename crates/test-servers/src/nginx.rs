//! An nginx of a test's own with its module nchan, which serves feeds over HTTP: on a free port
//! of 127.0.0.1. What it has in its buffer goes away when it is killed.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::daemon::{Daemon, Program};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// A server at work; it ends with this value. It has the feed of one channel at `/sub` (in
/// whatever way it is asked for) and `/raw` (lines).
pub struct Nginx {
    daemon: Daemon,
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
        let daemon = Daemon::start(Program {
            name: "nginx",
            package: "nginx",
            command: Box::new(command),
            is_up: |port| request(port, "GET", "/up", "").is_ok_and(|head| head.contains("200")),
        });
        Ok(Nginx { daemon: daemon? })
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.daemon.host()
    }

    /// Kills the server, and starts it again, with nothing in its buffer.
    pub fn crash(&self) {
        self.daemon.crash();
    }

    /// Publishes a message.
    #[track_caller]
    pub fn publish(&self, message: &str) {
        let answer = request(self.daemon.port(), "POST", "/pub", message).unwrap();
        let is_taken = answer.starts_with("HTTP/1.1 2");
        assert!(is_taken, "{answer}");
    }
}

fn request(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
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

fn command(folder: &Path, port: u16) -> Command {
    let path = folder.display();
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
    fs::write(folder.join("nginx.conf"), config).unwrap();
    // One that was killed has left it.
    let _ = fs::remove_file(folder.join("pid"));
    let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(Path::new);
    let nginx = nginx.into_iter().find(|path| path.exists());
    let mut command = Command::new(nginx.unwrap_or(Path::new("nginx")));
    command
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .args(["-g", if is_root() { "user root;" } else { "" }])
        .arg("-e")
        .arg(folder.join("errors"));
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
