//! What a scenario may not do. Scenarios are passed on and played by programs of continuous integration: a file of them
//! touches no other file of whoever plays it, its visits are made in the lab and nowhere else, and what it types is shown
//! without credentials. Pure.

use std::net::IpAddr;

use anyhow::{anyhow, ensure};
use probe::target::{self, Host};
use secrets::Secrets;
use world::{AddressBook, World, scenario::Scenario};

use crate::{
    args::Visit,
    plan::{self, Ground, resolver::Named},
};

/// Refuses the options by which a visit reads and writes files, stdin and stdout among them.
pub fn no_files(line: &Visit) -> anyhow::Result<()> {
    let reads = |piece: &String| piece.starts_with('@');
    let used = [
        ("-o FILE", line.output.output.is_some()),
        ("--save", line.output.save.is_some()),
        ("--pcap", line.output.pcap.is_some()),
        ("-d @FILE", line.request.data.iter().any(reads)),
        ("--cacert", line.tls.cacert.is_some()),
    ];
    match used.iter().find(|(_, is_used)| *is_used) {
        Some((option, _)) => Err(anyhow!(
            "{option}: a scenario writes and reads no files; what its visits show is in --junit and --json"
        )),
        None => Ok(()),
    }
}

/// Refuses a visit that would be made elsewhere than in the lab: this one that runs, or one inside this program. What no
/// visit comes of, as of a URL that cannot be read, stays.
pub fn stays(line: &Visit, running: Option<&Ground>) -> anyhow::Result<()> {
    let built_in = World::built_in();
    let direct = AddressBook::direct(&built_in);
    let book = match running {
        Some(Ground::Running { book, .. }) => book,
        _ => &direct,
    };
    let is_outside = |ip: &IpAddr| !book.contains(*ip);
    if let Some(resolver) = &line.names.resolver
        && let Ok(named) = Named::parse(resolver.trim())
    {
        let is_in = named.is_in(|ip| book.contains(ip), |name| book.claims(name));
        let shown = Secrets::Removed.text(resolver);
        ensure!(is_in, "--resolver {shown} is outside the lab, and a scenario stays in it: name a resolver of the lab");
    }
    let Ok(overrides) = plan::overrides(line) else { return Ok(()) };
    for url in &line.urls {
        let Ok((_, target)) = target::parse(url, Secrets::Removed) else { continue };
        let shown = target::shown(url, Secrets::Removed);
        if let Ok((Ground::Internet, _)) = plan::plan(line, url, &overrides, running) {
            return Err(anyhow!(
                "{shown} is no place of the lab, and a scenario stays in it: with --lab the lab is asked for any name"
            ));
        }
        let way = overrides.way(&target);
        let led_to = match &way.host {
            Host::Ip(ip) => std::slice::from_ref(ip),
            Host::Name(_) => overrides.addresses(&way).unwrap_or_default(),
        };
        if let Some(ip) = led_to.iter().find(|ip| is_outside(ip)) {
            return Err(anyhow!("{shown} leads to {ip}, which is outside the lab, and a scenario stays in it"));
        }
    }
    Ok(())
}

/// Refuses records that lead visits elsewhere: from names of the lab to addresses that are not.
pub fn records_stay(scenario: &Scenario, running: Option<&Ground>) -> anyhow::Result<()> {
    let built_in = World::built_in();
    let direct = AddressBook::direct(&built_in);
    let book = match running {
        Some(Ground::Running { book, .. }) => book,
        _ => &direct,
    };
    let all = scenario.visit.iter().map(|visit| &visit.records).chain([&scenario.records]);
    for record in all.flat_map(|records| records.values()).flatten() {
        let outside = record.split_whitespace().filter_map(|word| word.parse().ok()).find(|ip| !book.contains(*ip));
        if let Some(ip) = outside {
            return Err(anyhow!(
                "the record {record:?} leads to {ip}, which is outside the lab, and a scenario stays in it"
            ));
        }
    }
    Ok(())
}

/// What was typed, as it may be shown and kept: without credentials and tokens, wherever the command line has them, unless
/// it says itself that they are to be shown.
pub fn without_secrets(args: &[String], line: &Visit) -> Vec<String> {
    if line.output.show_secrets {
        return args.to_vec();
    }
    let secrets = Secrets::Removed;
    let field = |field: &String| match field.split_once(':') {
        Some((name, value)) => {
            let shown = secrets.field(name.trim(), value.trim_start());
            format!("{name}:{}{shown}", &value[..value.len() - value.trim_start().len()])
        }
        None => secrets.text(field),
    };
    let request = &line.request;
    let fields = request.header.iter().map(|header| (header, field(header)));
    let bodies = request.data.iter().chain(&request.send).map(|body| (body, secrets.stream(body)));
    let urls = line.urls.iter().filter(|url| may_have_userinfo(url)).map(|url| (url, target::shown(url, secrets)));
    // A value stands at the end of its word, in whatever way the option before it is written.
    let mut values: Vec<(&String, String)> = fields.chain(bodies).chain(urls).collect();
    values.retain(|(value, shown)| *value != shown && !value.is_empty());
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    let word = |arg: &String| {
        let found = values.iter().find_map(|(value, shown)| Some((arg.strip_suffix(value.as_str())?, shown)));
        found.map_or_else(|| secrets.text(arg), |(before, shown)| format!("{before}{shown}"))
    };
    args.iter().map(word).collect()
}

/// What has none is shown as it was typed, not as the URL that it stands for.
fn may_have_userinfo(url: &str) -> bool {
    url.contains('@')
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn visits_stay_in_the_lab() {
        let tried = |line: &[&str]| {
            let mut visit = Cli::parse_from(["visit"].iter().chain(line)).visit;
            if !line.contains(&"--resolver") {
                visit.names.resolver = None;
            }
            stays(&visit, None).map_err(|error| error.to_string())
        };
        for line in [
            &["www.example.local"][..],
            &["--lab", "www.baidu.com"],
            &["--lab", "http://10.78.2.81/"],
            &["--lab", "--resolver", "tls://10.78.1.53", "a"],
            &["--lab", "--connect-to", "www.other.test:443:www.example.local:443", "https://www.other.test"],
            &["http://www.example.local:99999/"],
            &["--resolve", "nonsense", "www.example.local"],
        ] {
            assert_eq!(tried(line), Ok(()), "{line:?}");
        }
        let check = |line: &[&str], words: &str| {
            let why = tried(line).unwrap_err();
            assert!(why.contains(words), "{line:?}: {why}");
        };
        check(&["http://me:pw@www.baidu.com/"], "http://www.baidu.com/ is no place of the lab");
        check(&["www.example.local", "http://127.0.0.1:631/"], "http://127.0.0.1:631/ is no place of the lab");
        check(&["--lab", "http://127.0.0.1:631/"], "leads to 127.0.0.1, which is outside the lab");
        check(&["--connect-to", "::127.0.0.1:631", "www.example.local"], "no place of the lab");
        check(&["--lab", "--connect-to", "::127.0.0.1:631", "a"], "leads to 127.0.0.1");
        check(&["--resolve", "www.example.local:80:10.78.2.81,192.0.2.1", "www.example.local"], "leads to 192.0.2.1");
        check(&["--lab", "--resolver", "9.9.9.9", "a"], "--resolver 9.9.9.9 is outside the lab");
        check(&["--lab", "--resolver", "system", "a"], "--resolver system is outside the lab");
    }

    #[test]
    fn records_stay_in_the_lab() {
        let check = |record: &str| {
            let records = [("example.local.".to_owned(), vec![record.to_owned()])].into();
            let scenario = Scenario { records, ..Scenario::default() };
            records_stay(&scenario, None).map_err(|error| error.to_string())
        };
        assert_eq!(check("www 300 IN A 10.78.2.82"), Ok(()));
        assert_eq!(check("www 300 IN CNAME app1"), Ok(()));
        assert!(check("www 300 IN A 192.0.2.1").unwrap_err().contains("leads to 192.0.2.1, which is outside the lab"));
        assert!(check("www 300 IN AAAA ::1").unwrap_err().contains("leads to ::1"));
    }

    #[test]
    fn what_was_typed_has_no_credentials() {
        let check = |args: &[&str], expected: &[&str]| {
            let visit = Cli::parse_from(["visit"].iter().chain(args)).visit;
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(without_secrets(&args, &visit), expected);
        };
        check(&["-H", "Authorization: Bearer cherry", "a"], &["-H", "Authorization: (removed)", "a"]);
        check(&["-LHCookie:id=cherry", "a"], &["-LHCookie:(removed)", "a"]);
        check(&["--header=X-Token: cherry", "a"], &["--header=X-Token: (removed)", "a"]);
        check(&["-H", "Accept: text/html", "-H", "X-Gone:", "a"], &["-H", "Accept: text/html", "-H", "X-Gone:", "a"]);
        check(&["-d", "user=me&password=cherry", "a"], &["-d", "user=me&password=(removed)", "a"]);
        check(&["--send", "AUTH cherry\\r\\n", "tcp://a:1"], &["--send", "AUTH (removed)", "tcp://a:1"]);
        check(&["http://me:cherry@a/?token=cherry&b=1"], &["http://a/?token=(removed)&b=1"]);
        check(&["me:cherry@a.test"], &["http://a.test/"]);
        check(
            &["--resolver", "https://me:cherry@dns.test/q", "a?key=cherry"],
            &["--resolver", "https://dns.test/q", "a?key=(removed)"],
        );
        check(&["--show-secrets", "-H", "Cookie: cherry", "a"], &["--show-secrets", "-H", "Cookie: cherry", "a"]);
    }
}
