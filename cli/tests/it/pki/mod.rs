//! A small public key infrastructure for one test, and servers of other makers that use it.

// Every test file uses a part of it.
#![allow(dead_code)]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);

/// A root, an intermediate authority, and a folder for what they issue.
pub(crate) struct Pki {
    folder: TempDir,
    root_pem: String,
    intermediate_pem: String,
    root: Issuer<'static, KeyPair>,
    intermediate: Issuer<'static, KeyPair>,
}

/// What a server's certificate is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// The name that it is for.
    pub(crate) name: &'static str,
    /// Days from now until it is valid.
    pub(crate) from_days: i64,
    /// Days from now until it is not any more.
    pub(crate) to_days: i64,
    /// Who signs it.
    pub(crate) by: By,
}

/// Who signs a certificate, and what the server sends of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// The root.
    Root,
    /// The intermediate authority; the server sends its certificate as well.
    Intermediate,
    /// The intermediate authority, whose certificate the server forgets to send.
    IntermediateNotSent,
    /// Itself.
    Itself,
}

impl Kind {
    /// A good one.
    pub(crate) const GOOD: Self = Self { name: "localhost", from_days: -1, to_days: 87, by: By::Root };
}

/// A server's certificate chain and key.
pub(crate) struct Files {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            (params, KeyPair::generate().unwrap())
        };
        let (params, key) = authority("test root");
        let root_pem = params.self_signed(&key).unwrap().pem();
        let root = Issuer::new(params, key);
        let (params, key) = authority("test intermediate");
        let intermediate_pem = params.signed_by(&key, &root).unwrap().pem();
        let intermediate = Issuer::new(params, key);
        let pki = Self { folder: tempfile::tempdir().unwrap(), root_pem, intermediate_pem, root, intermediate };
        fs::write(pki.folder.path().join("root.pem"), &pki.root_pem).unwrap();
        pki
    }

    /// The file for `--cacert`.
    pub(crate) fn root(&self) -> String {
        self.folder.path().join("root.pem").display().to_string()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for a server.
    pub(crate) fn issue(&self, kind: Kind) -> Files {
        let mut params = CertificateParams::new(vec![kind.name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, kind.name);
        params.is_ca = IsCa::ExplicitNoCa;
        let at = |days: i64| match u32::try_from(days) {
            Ok(days) => SystemTime::now() + DAY * days,
            Err(_) => SystemTime::now() - DAY * u32::try_from(-days).unwrap(),
        };
        // Half a day more, so that the number of whole days is the same for as long as a test takes.
        params.not_before = (at(kind.from_days) + DAY / 2).into();
        params.not_after = (at(kind.to_days) + DAY / 2).into();
        let key = KeyPair::generate().unwrap();
        let own = match kind.by {
            By::Root => params.signed_by(&key, &self.root),
            By::Intermediate | By::IntermediateNotSent => params.signed_by(&key, &self.intermediate),
            By::Itself => params.self_signed(&key),
        };
        let mut chain = own.unwrap().pem();
        if matches!(kind.by, By::Intermediate) {
            chain.push_str(&self.intermediate_pem);
        }
        let name = format!("{kind:?}").replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let files = Files {
            chain: self.folder.path().join(&name).with_extension("pem"),
            key: self.folder.path().join(&name).with_extension("key"),
        };
        fs::write(&files.chain, chain).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

/// A TLS server in this process that hands each connection to `serve`, with HTTP/2 agreed on where `alpn` says `h2`. It
/// serves until the test process ends.
pub(crate) fn tls_server<S, F>(files: &Files, alpn: &str, serve: S) -> u16
where
    S: Fn(tokio_rustls::server::TlsStream<tokio::net::TcpStream>) -> F + Send + 'static,
    F: Future<Output = ()>,
{
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = CertificateDer::pem_file_iter(&files.chain).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            }
        });
    });
    port
}

/// A process that ends with the test.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Python's http.server behind Python's ssl, which is OpenSSL and takes old keys too. `setup` are lines about the context
/// `c`.
pub(crate) fn python_https(files: &Files, setup: &str) -> Running {
    let script = format!(
        "import http.server, ssl\n\
         h = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n\
         c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
         c.set_ciphers('DEFAULT:@SECLEVEL=0')\n\
         c.load_cert_chain({:?}, {:?})\n\
         {setup}\n\
         h.socket = c.wrap_socket(h.socket, server_side=True, do_handshake_on_connect=False)\n\
         print(h.server_port, flush=True)\n\
         h.serve_forever()\n",
        files.chain.display().to_string(),
        files.key.display().to_string(),
    );
    let mut child = Command::new("python3")
        .args(["-c", &script])
        .current_dir(files.chain.parent().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 is needed: apt-get install python3");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().expect("Python's ssl module is needed");
    Running { child, port }
}

/// nginx with these lines in its `server` block; `$FOLDER` in them is a folder of its own. It listens on loopback.
pub(crate) fn nginx(folder: &Path, lines: &str) -> Running {
    // Held until nginx takes it over; another process could only have it in the moment between.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let at = folder.display();
    let lines = lines.replace("$PORT", &port.to_string()).replace("$FOLDER", &at.to_string());
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr crit;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; default_type text/plain; client_body_temp_path {at}/b; proxy_temp_path {at}/p;\n\
         fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         server {{ {lines} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let program =
        ["/usr/sbin/nginx", "nginx"].into_iter().find(|path| !path.starts_with('/') || Path::new(path).exists());
    let child = Command::new(program.unwrap())
        .args(["-e", "stderr", "-c"])
        .arg(&file)
        .spawn()
        .expect("nginx is needed: apt-get install nginx-light");
    let running = Running { child, port };
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
        assert!(Instant::now() < end, "nginx does not listen");
        std::thread::yield_now();
    }
    running
}
