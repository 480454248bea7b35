//! HTTPS and HTTP/2, with a certificate made for the test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures_util::SinkExt;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::unspool;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn https_is_verified_and_speaks_http_2() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&authority, key.cert.pem()).unwrap();

    let versions = Arc::new(Mutex::new(Vec::new()));
    let address = serve(&key, Arc::clone(&versions)).await;
    let url = format!("https://localhost:{}/", address.port());
    let run = move |authority: Option<PathBuf>, flags: &[&str]| {
        let mut command = unspool(&[&["pages", &url, "--retries", "0"], flags].concat());
        if let Some(authority) = authority {
            command.env("SSL_CERT_FILE", authority);
        }
        command.output().unwrap()
    };

    let result = tokio::task::spawn_blocking({
        let run = run.clone();
        let authority = authority.clone();
        move || run(Some(authority), &[])
    });
    let result = result.await.unwrap();
    let words = String::from_utf8(result.stderr).unwrap();
    assert_eq!(result.status.code(), Some(0), "{words}");
    assert_eq!(result.stdout, b"1\n2\n");
    assert_eq!(*versions.lock().unwrap(), [hyper::Version::HTTP_2]);

    let trusting = tokio::task::spawn_blocking({
        let run = run.clone();
        move || {
            let authority = authority.to_str().unwrap();
            [run(None, &["--cacert", authority]), run(None, &["-k"])]
        }
    });
    let [named, insecure] = trusting.await.unwrap();
    for result in [&named, &insecure] {
        assert_eq!(result.stdout, b"1\n2\n");
    }
    let words = String::from_utf8(named.stderr).unwrap();
    assert!(!words.contains("warning"), "{words}");
    let words = String::from_utf8(insecure.stderr).unwrap();
    assert!(
        words.contains("warning: `--insecure` trusts any certificate"),
        "{words}"
    );

    let result = tokio::task::spawn_blocking(move || run(None, &[]))
        .await
        .unwrap();
    let words = String::from_utf8(result.stderr).unwrap();
    assert_eq!(result.status.code(), Some(1), "{words}");
    assert!(
        words.contains("cannot connect: invalid peer certificate"),
        "{words}"
    );
    // It will not be another one the next time.
    assert!(words.contains("in 1 request,"), "{words}");
    assert!(words.contains("`--cacert FILE`"), "{words}");
}

/// The lines that `events` writes of a feed, with this certificate trusted or none.
async fn followed(url: String, authority: Option<std::path::PathBuf>) -> (Vec<u8>, String) {
    let follow = move || {
        let mut command = unspool(&["events", &url, "--take", "1", "--retries", "0", "--parse"]);
        if let Some(authority) = authority {
            command.env("SSL_CERT_FILE", authority);
        }
        command.output().unwrap()
    };
    let output = tokio::task::spawn_blocking(follow).await.unwrap();
    (output.stdout, String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_web_socket_over_tls_is_verified_and_does_not_speak_http_2() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&authority, key.cert.pem()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config(&key)));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let url = format!(
        "wss://localhost:{}/feed",
        listener.local_addr().unwrap().port()
    );
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let Ok(connection) = acceptor.accept(connection).await else {
                continue;
            };
            let mut socket = tokio_tungstenite::accept_async(connection).await.unwrap();
            // Whoever has one of them goes away.
            while socket.send("[1]".into()).await.is_ok() {}
        }
    });
    let (lines, words) = followed(url.clone(), Some(authority)).await;
    let expected = "{\"event\":\"message\",\"id\":null,\"data\":[1]}\n";
    assert_eq!(String::from_utf8_lossy(&lines), expected, "{words}");
    let (lines, words) = followed(url, None).await;
    assert!(
        lines.is_empty() && words.contains("invalid peer certificate"),
        "{words}"
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_redis_stream_over_tls_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, private) = (
        folder.path().join("authority.pem"),
        folder.path().join("key.pem"),
    );
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&authority, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let (server, port) = match crate::server::Redis::start_with_tls(&authority, &private) {
        Ok(started) => started,
        Err(why) if std::env::var_os("CI").is_none() => return eprintln!("skipped: {why}"),
        Err(why) => panic!("{why}"),
    };
    server.cli(&["XADD", "s", "1-1", "n", "1"]);
    let url = format!("rediss://localhost:{port}?stream=s");
    let (lines, words) = followed(url.clone(), Some(authority)).await;
    let expected = "{\"event\":\"message\",\"id\":\"1-1\",\"data\":{\"n\":\"1\"}}\n";
    assert_eq!(String::from_utf8_lossy(&lines), expected, "{words}");
    let (lines, words) = followed(url, None).await;
    assert!(
        lines.is_empty() && words.contains("invalid peer certificate"),
        "{words}"
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_of_nats_over_tls_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, private) = (
        folder.path().join("authority.pem"),
        folder.path().join("key.pem"),
    );
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&authority, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let (certificate, private) = (authority.display(), private.display());
    let tls = format!("tls {{ cert_file: \"{certificate}\", key_file: \"{private}\" }}\n");
    // It takes those who do not ask for TLS as well, or wants it of all.
    let both = crate::server::Nats::start_with(&format!("{tls}allow_non_tls: true\n"));
    let (both, strict) = match (both, crate::server::Nats::start_with(&tls)) {
        (Ok(both), Ok(strict)) => (both, strict),
        (Err(why), _) | (_, Err(why)) if std::env::var_os("CI").is_none() => {
            return eprintln!("skipped: {why}");
        }
        (Err(why), _) | (_, Err(why)) => panic!("{why}"),
    };
    both.api("STREAM.CREATE.s", r#"{"name":"s","subjects":["a"]}"#);
    both.publish("a", ["[1]".to_owned()]);
    let address = |scheme: &str, server: &crate::server::Nats| {
        let host = server.host().replace("127.0.0.1", "localhost");
        format!("{scheme}://{host}?stream=s")
    };
    let url = address("tls", &both);
    let (lines, words) = followed(url.clone(), Some(authority.clone())).await;
    let expected = "{\"event\":\"a\",\"id\":\"1\",\"data\":[1]}\n";
    assert_eq!(String::from_utf8_lossy(&lines), expected, "{words}");
    let (lines, words) = followed(url, None).await;
    assert!(
        lines.is_empty() && words.contains("invalid peer certificate"),
        "{words}"
    );
    // What the server has no stream for, it says over TLS.
    for scheme in ["nats", "tls"] {
        let url = address(scheme, &strict);
        let (_, words) = followed(url.clone(), Some(authority.clone())).await;
        assert!(words.contains("stream not found"), "{scheme}: {words}");
        let (_, words) = followed(url, None).await;
        assert!(words.contains("invalid peer certificate"), "{words}");
    }
}

fn config(key: &rcgen::CertifiedKey<rcgen::KeyPair>) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            key.signing_key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A server with that certificate, which notes the version of each request.
async fn serve(
    key: &rcgen::CertifiedKey<rcgen::KeyPair>,
    versions: Arc<Mutex<Vec<hyper::Version>>>,
) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(config(key)));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (acceptor, versions) = (acceptor.clone(), Arc::clone(&versions));
            tokio::spawn(async move {
                // A client that does not trust the certificate goes away here.
                let Ok(connection) = acceptor.accept(connection).await else {
                    return;
                };
                let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
                    versions.lock().unwrap().push(request.version());
                    async {
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(
                            bytes::Bytes::from("[1,2]"),
                        )))
                    }
                });
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = server
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
            });
        }
    });
    address
}
