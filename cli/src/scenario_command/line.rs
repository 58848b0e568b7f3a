//! The command lines of a scenario. They may neither read nor write files, and they are shown without credentials.

use anyhow::{anyhow, ensure};
use clap::{CommandFactory, FromArgMatches, parser::ValueSource};
use probe::{payload::Payload, target::Scheme, visitable::Visitable};
use scenario::play::Line;
use secrets::Secrets;

use crate::{
    args::{Cli, Visit},
    payload, plan,
};

/// Reads it. The error says what is wrong with it.
pub(crate) fn read(args: &[String]) -> anyhow::Result<Line> {
    let words = ["visit"].into_iter().chain(args.iter().map(String::as_str));
    let matches = Cli::command().try_get_matches_from(words).map_err(|error| anyhow!("{}", error.render()))?;
    let cli = Cli::from_arg_matches(&matches)?;
    ensure!(cli.command.is_none(), "{:?} is no visit", args.join(" "));
    let mut line = cli.visit;
    ensure!(line.limits.repeat.is_none(), "-n makes a series, and what is expected is said of one visit");
    ensure!(line.output.compare.is_none(), "--compare makes no visit");
    // What the environment says is not meant for it.
    let from_environment = |id: &str| matches.value_source(id) == Some(ValueSource::EnvVariable);
    if from_environment("resolver") {
        line.names.resolver = None;
    }
    line.world = line.world.filter(|_| !from_environment("world"));
    ensure!(line.world.is_none(), "--world: the lab that a scenario is played in is named to `visit scenario`");
    no_files(&line)?;
    let plan::Plan { urls, mut settings } = plan::plan(&line)?;
    if urls.iter().any(|url| matches!(url.scheme(), Some(Scheme::Tcp | Scheme::Udp))) {
        // Nor is what this program's stdin has.
        let text = line.request.send.as_deref().unwrap_or_default();
        settings.payload = Some(Payload::Bytes(payload::unescape(text)?));
    }
    Ok(Line { urls, settings, shown: without_secrets(args, &line) })
}

/// Refuses the options by which a visit reads and writes files, stdin and stdout among them.
fn no_files(line: &Visit) -> anyhow::Result<()> {
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

/// What was typed, as it may be shown and kept: without credentials and tokens, wherever the command line has them, unless
/// it says itself that they are to be shown.
fn without_secrets(args: &[String], line: &Visit) -> Vec<String> {
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
    let shown = |url: &String| Visitable::read(url, secrets).shown;
    let urls = line.urls.iter().filter(|url| may_have_userinfo(url)).map(|url| (url, shown(url)));
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
    use probe::Family;
    use scenario::{inside, play::Script};

    use super::*;

    #[test]
    fn visits_stay_in_the_lab() {
        let tried = |line: &[&str]| {
            let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            inside::stays(&read(&line).unwrap(), None).map_err(|error| error.to_string())
        };
        for line in [
            &["www.example.local"][..],
            &["--lab", "www.baidu.com"],
            &["--lab", "http://10.78.2.81/"],
            &["--lab", "--resolver", "tls://10.78.1.53", "a"],
            &["--lab", "--connect-to", "www.other.test:443:www.example.local:443", "https://www.other.test"],
            &["http://www.example.local:99999/"],
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

    fn script(visit: &str) -> Result<Script, String> {
        let text = format!("about = \"x\"\nfaults = [\"auth1:drop\"]\n[[visit]]\nexit = 0\n{visit}");
        let scenario = world::scenario::read::file(&text, "x.toml").unwrap().remove(0);
        Script::new(scenario, "x.toml", &read).map_err(|error| error.to_string())
    }

    #[test]
    fn command_lines() {
        let script =
            script("args = [\"-4\", \"--fault\", \"app1:cut\", \"tcp://a:1\"]\nfaults = [\"tld:slow=1s\"]").unwrap();
        let line = &script.lines()[0];
        let faults: Vec<String> = line.settings.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, ["auth1:drop", "tld:slow=1s", "app1:cut"]);
        assert_eq!((line.settings.family, &line.settings.payload), (Family::V4, &Some(Payload::Bytes(Vec::new()))));
    }

    #[test]
    fn what_is_no_visit() {
        let check = |visit: &str, words: &str| {
            let error = script(visit).unwrap_err();
            assert!(error.starts_with("x.toml: scenario \"x\", visit 1: ") && error.contains(words), "{error}");
        };
        check("args = [\"--nonsense\", \"a\"]", "unexpected argument '--nonsense'");
        check("args = [\"doctor\"]", "is no visit");
        check("args = [\"-n\", \"3\", \"a\"]", "a series");
        check("args = [\"--world\", \"x\", \"a\"]", "--world");
        for (args, option) in [
            ("\"-o\", \"f\"", "-o FILE"),
            ("\"-o\", \"-\"", "-o FILE"),
            ("\"--save=f\"", "--save"),
            ("\"-sd\", \"@/etc/hostname\"", "-d @FILE"),
            ("\"--data\", \"@-\"", "-d @FILE"),
            ("\"--cacert\", \"f\"", "--cacert"),
            ("\"--pcap\", \"f\"", "--pcap"),
        ] {
            check(&format!("args = [{args}, \"a\"]"), &format!("{option}: a scenario writes and reads no files"));
        }
        check("args = [\"a\"]\ncause = { trouble = \"dns_no_anser\" }", "unknown variant `dns_no_anser`");
    }
}
