//! What the command line means: the URLs, read, and how they are visited.

use std::time::Duration;

use anyhow::{anyhow, ensure};
use probe::{http::Output, overrides::Overrides, visitable::Visitable};
use secrets::Secrets;
use session::{Frames, Settings, resolver::Named};

use crate::{args::Visit, payload, request};

/// What is to be visited, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One after the other.
    pub urls: Vec<Visitable>,
    /// How. What is sent to `tcp://` and `udp://` is not yet read: see [`payload::read`].
    pub settings: Settings,
}

/// Reads a command line. The error says what is wrong with it.
pub fn plan(visit: &Visit) -> anyhow::Result<Plan> {
    let secrets = if visit.output.show_secrets { Secrets::Shown } else { Secrets::Removed };
    let urls: Vec<Visitable> = visit.urls.iter().map(|url| Visitable::read(url, secrets)).collect();
    let settings = settings(visit, secrets)?;
    urls.iter().try_for_each(|url| payload::check_options(visit, url))?;
    let is_file = matches!(settings.output, Some(Output::File(_)));
    ensure!(!is_file || urls.len() < 2, "-o FILE keeps the content of one URL: visit them one at a time");
    Ok(Plan { urls, settings })
}

fn settings(visit: &Visit, secrets: Secrets) -> anyhow::Result<Settings> {
    let (names, limits, output) = (&visit.names, &visit.limits, &visit.output);
    Ok(Settings {
        lab: visit.lab.map(Into::into),
        faults: visit.fault.clone(),
        resolver: resolver(names.resolver.as_deref())?,
        overrides: Overrides::parse(&names.resolve, &names.connect_to)?,
        family: names.family(),
        root_walk: names.walk.map(Into::into),
        request: request::request(&visit.request)?,
        payload: None,
        most_redirects: visit.request.max_redirs,
        fail_on_status: visit.request.fail,
        engine: visit.request.engine.into(),
        cacert: visit.tls.cacert.clone(),
        insecure: visit.tls.insecure,
        keeps_keys: output.pcap_keys,
        max_time: limits.max_time.map(Duration::from_secs_f64),
        connect_timeout: Duration::from_secs_f64(limits.connect_timeout),
        max_response: limits.max_filesize,
        frames: match (limits.repeat, output.packets || output.layers.is_some() || output.pcap.is_some()) {
            (Some(_), _) => Frames::None,
            (None, true) => Frames::All,
            (None, false) => Frames::OfTheLab,
        },
        secrets,
        output: output.output.as_ref().map(|path| match path.as_os_str() == "-" {
            true => Output::Stdout,
            false => Output::File(path.clone()),
        }),
    })
}

/// Who `--resolver` names; an empty value is none.
fn resolver(given: Option<&str>) -> anyhow::Result<Option<Named>> {
    let Some(given) = given.map(str::trim).filter(|given| !given.is_empty()) else { return Ok(None) };
    Named::parse(given).map(Some).map_err(|why| {
        anyhow!(
            "--resolver {given:?} names no resolver: {why}; write 10.78.1.53, [fd10::1]:53, tls://HOST, https://HOST/PATH \
             or system"
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use session::{Asked, Ground};

    use super::*;
    use crate::args::Cli;

    fn check(line: &[&str], expected: &str) {
        let cli = Cli::parse_from(["visit"].iter().chain(line));
        let seen = match plan(&cli.visit) {
            Ok(plan) => {
                let (ground, asked) = plan.settings.ground(&plan.urls[0], None);
                let ground = match ground {
                    Ground::Embedded => "embedded",
                    Ground::Running { .. } => "running",
                    Ground::Internet => "internet",
                };
                let asked = match asked {
                    Asked::Named(Named::Plain(address)) => format!("Given({address})"),
                    Asked::Named(Named::Secure(upstream)) => upstream.url(Secrets::Removed),
                    asked => format!("{asked:?}"),
                };
                format!("{ground} {asked}")
            }
            Err(error) => error.to_string(),
        };
        assert!(seen.starts_with(expected), "{line:?}: {seen}");
    }

    #[test]
    fn whose_network() {
        check(&["www.example.local"], "embedded Lab");
        check(&["http://EXAMPLE.test:8080/x"], "embedded Lab");
        check(&["www.baidu.com"], "internet System");
        check(&["--connect-to", "::10.78.2.82:80", "www.example.local"], "embedded Lab");
        check(&["--connect-to", "::127.0.0.1:99", "www.example.local"], "internet System");
        check(&["--lab", "www.baidu.com"], "embedded Lab");
        check(&["--lab", "http://10.78.2.81/"], "embedded Lab");
        check(&["http://10.78.2.81/"], "internet System");
        check(&["notexample.local"], "internet System");
        check(&["http://a b"], "internet System");
        check(&["--resolver", "10.1.1.1", "www.example.local"], "internet Given(10.1.1.1:53)");
        check(&["--resolver", "[::1]:5353", "a"], "internet Given([::1]:5353)");
        check(&["--resolver", "fd10::1", "a"], "internet Given([fd10::1]:53)");
        check(&["--resolver", "10.78.1.53", "www.example.local"], "embedded Given(10.78.1.53:53)");
        check(&["--resolver", "10.78.1.53", "www.baidu.com"], "internet Given(10.78.1.53:53)");
        check(&["--resolver", "fd10:78:1ab::1:53", "www.example.test"], "embedded Given([fd10:78:1ab::1:53]:53)");
        check(&["--connect-to", "::www.example.local:", "www.baidu.com"], "embedded Lab");
        check(&["--connect-to", "::127.0.0.1:8080", "www.example.local"], "internet System");
        check(&["--resolve", "www.example.local:80:127.0.0.1", "www.example.local"], "embedded Lab");
        check(&["--resolve", "www.example.local", "www.example.local"], "--resolve \"www.example.local\": it needs");
        check(&["--lab", "--resolver", "10.78.2.31", "a"], "embedded Given(10.78.2.31:53)");
        check(&["--resolver", "system", "www.example.local"], "internet System");
        check(&["--resolver", "dns.test", "a"], "--resolver \"dns.test\" names no resolver: it is no address; write");
        check(&["--resolver", "tls://10.78.1.53", "www.example.local"], "embedded tls://10.78.1.53");
        check(&["--resolver", "tls://10.78.1.53", "www.baidu.com"], "internet tls://10.78.1.53");
        check(&["--resolver", "tls://dns.example.test", "www.example.local"], "embedded tls://dns.example.test");
        check(&["--resolver", "https://dns.test", "www.example.local"], "internet https://dns.test/dns-query");
        check(&["--lab", "--resolver", "https://10.78.1.53/q", "a"], "embedded https://10.78.1.53/q");
        check(&["--resolver", "10.1.1.1:0", "a"], "--resolver");
    }
}
