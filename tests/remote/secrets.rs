//! TLS, and what servers are told to let one in.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::common::Pipeline;
use crate::server::{Reply, Server};
use crate::{all, red, remote, times, video};

/// An authority's certificate, and a server's that it has signed for `name`.
fn certificates(name: &str) -> (String, Arc<ServerConfig>) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    let pem = certificate.pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let of_server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let of_server = of_server.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![of_server.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (pem, Arc::new(config))
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn tls_with_the_right_authority_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, config) = certificates("localhost");
    let (wrong, _) = certificates("localhost");
    let server = Server::with_tls(Some(config), Reply::red);
    let [right, wrong] = [("right.pem", pem), ("wrong.pem", wrong)]
        .map(|(name, pem)| write(folder.path(), name, &pem));
    let element = |host: &str, ca: &str| {
        let address = format!("grpcs://{host}:{}", server.port);
        format!("{} {ca}", remote(&address))
    };
    let right = format!("server-tls-ca={right}");
    let pipeline = Pipeline::new(&video(5, &element("localhost", &right)));
    assert_eq!(times(&pipeline, |_| {}), all(5));
    let begun = Instant::now();
    let empty = write(folder.path(), "empty.pem", "");
    for (host, ca, word) in [
        ("localhost", format!("server-tls-ca={wrong}"), "authority"),
        ("localhost", String::new(), "authority"),
        ("127.0.0.1", right.clone(), "name"),
        (
            "localhost",
            "server-tls-ca=/nothing.pem".to_owned(),
            "nothing.pem",
        ),
        ("localhost", format!("server-tls-ca={empty}"), "empty.pem"),
    ] {
        let message = Pipeline::new(&video(5, &element(host, &ca)))
            .run()
            .unwrap_err();
        assert!(message.contains(word), "{word}: {message}");
    }
    // a server without it, and one with it that is not spoken to so
    let open = red();
    let address = format!("grpcs://localhost:{}", open.port);
    let message = Pipeline::new(&video(5, &format!("{} {right}", remote(&address)))).run();
    let message = message.unwrap_err();
    assert!(message.contains("TLS"), "{message}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn secrets_are_sent_and_read_at_each_connection() {
    let folder = tempfile::tempdir().unwrap();
    let token = write(folder.path(), "token", "first-secret\n");
    let mut server = red();
    *server.state.delay.lock().unwrap() = Duration::from_millis(5);
    let element = format!("{} server-token-file={token}", remote(&server.address()));
    let sent = |server: &Server, header: &str| {
        let headers = server.state.headers.lock().unwrap();
        headers
            .get(header)
            .map(|it| it.to_str().unwrap().to_owned())
    };
    let pipeline = Pipeline::new(&video(1000, &element));
    let sink = pipeline.appsink("out");
    pipeline.play();
    sink.pull_sample().unwrap();
    assert_eq!(
        sent(&server, "authorization").unwrap(),
        "Bearer first-secret"
    );
    write(folder.path(), "token", "second-secret");
    server.kill();
    server.start();
    let asked = server.state.asked.load(Ordering::SeqCst);
    while server.state.asked.load(Ordering::SeqCst) < asked + 5 {
        sink.pull_sample().unwrap();
    }
    assert_eq!(
        sent(&server, "authorization").unwrap(),
        "Bearer second-secret"
    );
    drop(pipeline);
    let element = format!("{element} server-token-header=X-Key");
    Pipeline::new(&video(2, &element)).run().unwrap();
    assert_eq!(sent(&server, "x-key").unwrap(), "second-secret");
}

fn text(message: &gst::Message) -> String {
    match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => String::new(),
    }
}

#[test]
fn a_secret_that_is_none_or_wrong_is_an_error_that_does_not_tell_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = red();
    let empty = write(folder.path(), "empty", "\n");
    for (file, word) in [("/nothing", "nothing"), (&*empty, "empty")] {
        let element = format!("{} server-token-file={file}", remote(&server.address()));
        let message = Pipeline::new(&video(2, &element)).run().unwrap_err();
        assert!(
            message.contains(word) && message.contains("server-token-file"),
            "{message}"
        );
    }
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 0);
    let token = write(folder.path(), "token", "hush-hush");
    for code in [7, 16] {
        server.state.fails.store(code, Ordering::SeqCst);
        let begun = Instant::now();
        let element = format!("{} server-token-file={token}", remote(&server.address()));
        let pipeline = Pipeline::new(&video(2, &element));
        pipeline.play();
        let messages =
            pipeline.messages_until(|message| message.type_() == gst::MessageType::Error);
        assert!(begun.elapsed() < Duration::from_secs(10));
        let words = format!("{messages:?} {}", text(messages.last().unwrap()));
        assert!(
            words.contains("secret") && !words.contains("hush"),
            "{words}"
        );
    }
}

#[test]
fn a_secret_that_all_can_read_or_hear_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let token = write(folder.path(), "token", "hush-hush");
    std::fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    let server = red();
    let element = format!("{} server-token-file={token}", remote(&server.address()));
    let messages = Pipeline::new(&video(2, &element)).run().unwrap();
    let warnings: Vec<_> = messages
        .iter()
        .filter_map(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            _ => None,
        })
        .collect();
    assert!(
        warnings.iter().any(|it| it.contains("chmod 600")),
        "{warnings:?}"
    );
    assert!(
        warnings.iter().any(|it| it.contains("grpcs://")),
        "{warnings:?}"
    );
    let all = format!("{messages:?}");
    assert!(!all.contains("hush"));
}
