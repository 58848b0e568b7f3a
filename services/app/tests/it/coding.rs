//! Content codings: who asks for gzip gets text so, and everybody else as ever.

use crate::support::{Response, run, start};

use crate::support;

fn get(app: &support::Running, target: &str, fields: &str) -> Response {
    app.client().send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).response()
}

#[test]
fn asked_and_not_asked() {
    let app = start();
    for target in ["/", "/json", "/headers?a=b"] {
        let plain = get(&app, target, "");
        assert_eq!((plain.field("content-encoding"), plain.field("vary")), (None, Some("Accept-Encoding")), "{target}");
        let coded = get(&app, target, "Accept-Encoding: br, gzip\r\n");
        assert_eq!(coded.field("vary"), Some("Accept-Encoding"));
        assert_eq!(coded.field("content-length"), Some(&*coded.body.len().to_string()));
        let is_gzip = coded.field("content-encoding") == Some("gzip");
        assert_eq!(is_gzip, coded.body.starts_with(&[0x1f, 0x8b]), "{target}");
        assert!(is_gzip || target.starts_with("/headers"), "what is short stays as it is");
        assert!(coded.body.len() < plain.body.len() || !is_gzip);
    }
    assert_eq!(get(&app, "/", "Accept-Encoding: gzip;q=0\r\n").field("content-encoding"), None);
    let rows = get(&app, "/bytes/100000", "Accept-Encoding: gzip\r\n");
    assert_eq!((rows.field("content-encoding"), rows.field("vary"), rows.body.len()), (None, None, 100_000));
    assert_eq!(get(&app, "/status/204", "Accept-Encoding: gzip\r\n").field("vary"), None);
}

#[test]
fn head_is_as_get() {
    let app = start();
    let request = "HEAD / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";
    let head = app.client().send(request).head();
    let get = get(&app, "/", "Accept-Encoding: gzip\r\n");
    assert_eq!(head.field("content-encoding"), Some("gzip"));
    // The page tells the time and ports, so the lengths are only almost equal.
    let length = |response: &Response| response.field("content-length").unwrap().parse::<usize>().unwrap();
    assert!(length(&head).abs_diff(length(&get)) < 50 && length(&head) > 500);
}

#[needs::tools(curl)]
#[test]
fn curl_reads_it() {
    let app = start();
    let url = format!("http://{}/", app.http);
    let usual = ["--silent", "--show-error", "--noproxy", "*"];
    let page = run("curl", &[&usual[..], &["--compressed", &url]].concat());
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    let size = ["--header", "Accept-Encoding: gzip", "--output", "/dev/null", "--write-out", "%{size_download}", &url];
    let coded: usize = run("curl", &[&usual[..], &size].concat()).parse().unwrap();
    assert!(coded < page.len() / 2, "{coded} of {}", page.len());
}
