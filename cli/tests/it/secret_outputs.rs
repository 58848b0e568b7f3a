//! Every kind of secret through every output: it is in none of them, unless `--show-secrets` asks for it.

use std::fs;

use crate::peer::{End, Server, run};
use journey::{Journey, capture::Captured};

/// The secret of all cases: base64 of `marker:marker`, so that it is a legal credential everywhere.
const SECRET: &str = "bWFya2VyOm1hcmtlcg";

/// A visit with a secret in it: the target, further arguments, and the fields of the response. `@` stands for the secret.
struct Case(&'static str, &'static [&'static str], &'static str);

/// What a client sends.
const SENT: &[Case] = &[
    Case("/?access_token=@&page=1", &[], ""),
    Case("/?page=1;token=@", &[], ""),
    Case("/?access%5Ftoken=@", &[], ""),
    Case("/?%63ode=@&state=a", &[], ""),
    Case("/?code=a&state=@", &[], ""),
    Case("/?SAMLResponse=@", &[], ""),
    Case("/?SAMLRequest=a&RelayState=@", &[], ""),
    Case("/?SAMLart=@", &[], ""),
    Case("/?oauth_verifier=@&oauth_token=a", &[], ""),
    Case("/?client_assertion=@", &[], ""),
    Case("/?X-Amz-Security-Token=@", &[], ""),
    Case("/?user[password]=@", &[], ""),
    Case("/?next=https%3A%2F%2Fh.test%2Fcb%3Faccess_token%3D@", &[], ""),
    Case("/?next=https://h.test/cb?token=@", &[], ""),
    Case("/?next=%2Fa%3Fnext%3D%252Fb%253Fid_token%253D@", &[], ""),
    Case("/?next=https%3A%2F%2Fme%3A@%40h.test%2F", &[], ""),
    Case("/?next=%2Fcb%23access_token%3D@", &[], ""),
    Case("/a;jsessionid=@/b?c=1", &[], ""),
    Case("/a;v=1;JSESSIONID=@", &[], ""),
    Case("/", &["-H", "Authorization: Bearer @"], ""),
    Case("/", &["-H", "Authorization: Basic @"], ""),
    Case("/", &["-H", "Proxy-Authorization: Basic @"], ""),
    Case("/", &["-H", "Cookie: a=@"], ""),
    Case("/", &["-H", "X-Api-Key: @"], ""),
    Case("/", &["-H", "DPoP: @"], ""),
    Case("/", &["-H", "X-Debug: was Bearer @"], ""),
    Case("/", &["-H", "X-Form: user=a&password=@"], ""),
    Case("/", &["-H", "X-Json: {\"token\":\"@\"}"], ""),
    Case("/", &["-H", "Referer: http://h.test/?token=@"], ""),
];

/// What a server sends.
const RECEIVED: &[Case] = &[
    Case("/", &[], "location: http://h.test/cb#access_token=@&expires_in=1"),
    Case("/", &[], "location: /cb#id_token=@"),
    Case("/", &[], "location: http://me:@@h.test/"),
    Case("/", &[], "location: //me:@@h.test/"),
    Case("/", &[], "location: http:\\\\me:@@h.test/"),
    Case("/", &[], "location: /cb;jsessionid=@?a=1"),
    Case("/", &[], "location: /cb?code=@&state=b"),
    Case("/", &[], "location: /login?next=%2Fcb%3Ftoken%3D@"),
    Case("/", &[], "location: myapp://cb?code=@"),
    Case("/", &[], "location: mailto:me?token=@"),
    Case("/", &["-L"], "location: myapp:cb?code=@"),
    Case("/", &["-L"], "location: http://127.0.0.1:99999/?token=@"),
    Case("/", &["-L", "--max-redirs", "1"], "location: /?token=@"),
    Case("/", &[], "set-cookie: a=@; Path=/"),
    Case("/", &[], "www-authenticate: Negotiate @"),
    Case("/", &[], "www-authenticate: Basic realm=\"a b\", Own @"),
    Case("/", &[], "proxy-authenticate: NTLM @"),
    Case("/", &[], "authentication-info: nextnonce=\"@\""),
    Case("/", &[], "proxy-authentication-info: @"),
    Case("/", &[], "link: </a?token=@>; rel=preload, </b>; rel=next"),
    Case("/", &[], "refresh: 0; url=/cb?token=@"),
    Case("/", &[], "content-location: /a?sig=@"),
    Case("/", &[], "x-auth-token: @"),
    Case("/", &[], "x-any: Bearer @"),
    Case("/", &[], "x-any: eyJhbGciOiJub25lIn0.@.a"),
    Case("/", &[], "server-timing: a;desc=\"Bearer @\""),
];

fn filled(text: &str) -> String {
    text.replace('@', SECRET).replace(&SECRET.repeat(2), &format!("{SECRET}@"))
}

fn server(fields: &str) -> Server {
    let status = if fields.starts_with("location") { "302 Found" } else { "200 OK" };
    let hint = if fields.starts_with("link") {
        format!("HTTP/1.1 103 Early Hints\r\n{fields}\r\n\r\n")
    } else {
        String::new()
    };
    let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
    let chunks = format!("2\r\nok\r\n0\r\nx-token: {SECRET}\r\n\r\n");
    let head = format!("{hint}HTTP/1.1 {status}\r\n{fields}transfer-encoding: chunked\r\n\r\n");
    Server::start((head + &chunks).into_bytes(), End::WhenPeerCloses)
}

/// Whether the secret is in this output, as it is or in the bytes of frames.
fn has_secret(text: &str) -> bool {
    let in_frames = serde_json::from_str::<Journey>(text).is_ok_and(|journey| match &journey.capture {
        Captured::Frames(capture) => capture
            .frames
            .iter()
            .any(|frame| frame.bytes.0.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())),
        Captured::NotObservable { .. } => false,
    });
    text.contains(SECRET) || in_frames
}

#[test]
fn no_output_has_a_secret_unless_it_is_asked_for() {
    for Case(target, args, fields) in SENT.iter().chain(RECEIVED) {
        let name = format!("{target} {args:?} {fields}");
        let args: Vec<String> = args.iter().map(|arg| filled(arg)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kept.json").display().to_string();
        let url = server(&filled(fields)).url(&filled(target));
        let look = ["-v", "-i", "--packets", "--layers", "osi"];
        let mut outputs = Vec::new();
        let mut take = |what: &str, args: &[&str]| {
            let output = run(args);
            outputs.push((format!("{what}, stdout"), String::from_utf8_lossy(&output.stdout).into_owned()));
            outputs.push((format!("{what}, stderr"), String::from_utf8_lossy(&output.stderr).into_owned()));
        };
        take("screen", &[&look, &args[..], &["--save", &file, &url]].concat());
        take("json", &[&["--json"], &args[..], &[&url]].concat());
        take("series", &[&["-n", "2", "--json"], &args[..], &[&url]].concat());
        take("show", &[&["show", &file], &look[..]].concat());
        outputs.push(("--save".to_owned(), fs::read_to_string(&file).unwrap()));
        for (output, text) in outputs {
            assert!(!has_secret(&text), "{name}: {output}: {text}");
        }
        let shown = run(&[&["--json", "--show-secrets"], &args[..], &[&url]].concat());
        assert!(has_secret(&String::from_utf8_lossy(&shown.stdout)), "{name}");
    }
}

#[test]
fn user_information_and_fragments_of_the_visited_url_are_not_shown() {
    let url = server("").url("/");
    for url in [url.replace("//", &format!("//me:{SECRET}@")), format!("{url}#access_token={SECRET}")] {
        for args in [&["-v"][..], &["--json"], &["--json", "-n", "2"]] {
            let output = run(&[args, &[&url]].concat());
            let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(!text.contains(SECRET), "{text}");
        }
    }
}

#[test]
fn complaints_do_not_repeat_secrets() {
    for args in [
        &["-H", "Authorization Bearer @", "http://127.0.0.1:1/"][..],
        &["--fault", "app1:refused", "--resolver", "127.0.0.1:1", "http://127.0.0.1:1/?token=@"],
    ] {
        let args: Vec<String> = args.iter().map(|arg| filled(arg)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = run(&args);
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && !text.contains(SECRET), "{args:?}: {text}");
    }
}
