//! curl as a client that nobody here has written.

use crate::support::{run, start, start_with};

fn curl(arguments: &[&str]) -> String {
    run("curl", &[&["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"], arguments].concat())
}

#[needs::tools(curl)]
#[test]
fn head_equals_get() {
    let app = start();
    for path in ["/bytes/1000", "/status/418", "/nothing", "/redirect/2"] {
        let url = format!("http://{}{path}", app.http);
        let comparable = |text: String| {
            let varies = |line: &&str| !["date:", "server-timing:"].iter().any(|name| line.starts_with(name));
            text.lines().filter(varies).map(str::to_owned).collect::<Vec<_>>()
        };
        let get = comparable(curl(&["--dump-header", "-", "--output", "/dev/null", &url]));
        let head = comparable(curl(&["--head", &url]));
        assert_eq!(get, head, "{path}");
        assert!(get.iter().any(|line| line.starts_with("content-length: ")));
    }
}

#[needs::tools(curl)]
#[test]
fn keep_alive() {
    let app = start();
    let url = format!("http://{}/json", app.http);
    let format = "%{num_connects} %{http_code}\\n";
    let said = curl(&["--write-out", format, "--output", "/dev/null", &url, "--output", "/dev/null", &url]);
    assert_eq!(said, "1 200\n0 200\n");
}

#[needs::tools(curl)]
#[test]
fn redirects() {
    let app = start();
    let url = format!("http://{}/redirect/5", app.http);
    let said = curl(&["--location", "--output", "/dev/null", "--write-out", "%{num_redirects} %{url_effective}", &url]);
    assert_eq!(said, format!("5 http://{}/", app.http));
}

#[needs::tools(curl)]
#[test]
fn uploads() {
    let app = start_with(|config| config.limits.body_bytes = 3_000_000);
    let url = format!("http://{}/headers", app.http);
    let file = std::env::temp_dir().join(format!("visit-app-upload-{}", std::process::id()));
    let path = format!("@{}", file.display());
    // From 1 MiB on, curl asks first: `Expect: 100-continue`.
    std::fs::write(&file, vec![b'x'; 2_000_000]).unwrap();
    let said = curl(&["--data-binary", &path, &url]);
    let chunked = curl(&["--header", "Transfer-Encoding: chunked", "--data-binary", &path, &url]);
    std::fs::write(&file, vec![b'x'; 4_000_000]).unwrap();
    let refused = curl(&["--data-binary", &path, "--output", "/dev/null", "--write-out", "%{http_code}", &url]);
    std::fs::remove_file(&file).unwrap();
    for said in [said, chunked] {
        let json: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(json["body"]["bytes"], 2_000_000, "{said}");
    }
    assert_eq!(refused, "413");
}

#[needs::tools(curl)]
#[test]
fn old_and_odd() {
    let app = start();
    let url = format!("http://{}/bytes/13", app.http);
    assert_eq!(curl(&["--http1.0", &url]), "ABCDEFGHIJKLM");
    let method =
        |method: &str| curl(&["--request", method, "--output", "/dev/null", "--write-out", "%{http_code}", &url]);
    assert_eq!((method("OPTIONS").as_str(), method("POST").as_str(), method("BREW").as_str()), ("204", "405", "501"));
    // Asked for an upgrade that it does not offer, the server answers as if it had not been asked (RFC 9110 §7.8).
    let upgrade = ["--header", "Connection: Upgrade, HTTP2-Settings", "--header", "Upgrade: h2c", &url];
    assert_eq!(curl(&upgrade), "ABCDEFGHIJKLM");
}

#[needs::tools(curl)]
#[test]
fn names_of_others() {
    let app = start();
    let to = format!("www.baidu.com:80:{}:{}", app.http.ip(), app.http.port());
    let said = curl(&["--connect-to", &to, "http://www.baidu.com/"]);
    assert!(said.contains("This is not the real www.baidu.com."));
}
