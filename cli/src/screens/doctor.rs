//! What `visit doctor` found.

use crate::doctor::{Diagnosis, State};
use text::words::count;
use view::{
    Style,
    page::{Ink, Page, dim, piece, plain},
};

/// Columns before what was found.
const INDENT: usize = 17;

/// What this machine allows, line by line.
pub fn doctor(diagnosis: &Diagnosis, style: &Style) -> String {
    let mut page = Page::new(style);
    page.line(2, &[piece(Ink::Bold, "visit doctor"), plain("  what this machine allows; no packet leaves it")]);
    page.gap();
    for check in &diagnosis.checks {
        let (mark, ink) = match check.state {
            State::Yes => ("✔", Ink::Good),
            State::No => ("✘", Ink::Bad),
            State::Absent => ("·", Ink::Dim),
        };
        let name = format!(" {:1$}", check.check, INDENT - 2);
        page.line(INDENT, &[piece(ink, mark), piece(Ink::Bold, name), plain(&check.found)]);
        page.line(INDENT, &[plain(" ".repeat(INDENT)), dim(&check.means)]);
        if let Some(how) = &check.how {
            page.line(INDENT + 4, &[plain(" ".repeat(INDENT)), dim("to get it: "), plain(how)]);
        }
    }
    page.gap();
    let missing = diagnosis.checks.iter().filter(|check| check.state == State::No).count();
    page.line(
        2,
        &[match missing {
            0 => piece(Ink::Good, "Nothing is missing."),
            _ => plain(format!("{} missing; what each would give is said beside it.", count(missing, "thing"))),
        }],
    );
    page.into_text()
}

#[cfg(test)]
mod tests {
    use journey::MadeBy;

    use super::*;
    use crate::doctor::Check;

    #[test]
    fn lines() {
        let check = |check, state, found: &str, how: Option<&str>| Check {
            check,
            state,
            found: found.to_owned(),
            means: "frames of visits outside the lab are not seen; the lab's own network does not need this".to_owned(),
            how: how.map(str::to_owned),
        };
        let mut diagnosis = Diagnosis {
            made_by: MadeBy { name: "visit".to_owned(), version: "0.0.0".to_owned() },
            checks: vec![
                check("ipv6 loopback", State::Yes, "a socket can be bound to ::1", None),
                check("capture", State::No, "EPERM: \x1b[2J", Some("run it as root, or give the program the right")),
                check("docker", State::Absent, "there is no program docker", None),
            ],
        };
        let style = Style { color: false, unicode: true, width: 80 };
        let text = doctor(&diagnosis, &style);
        assert!(text.lines().all(|line| line.chars().count() <= 80 && line.trim_end() == line), "{text}");
        insta::assert_snapshot!("doctor", text);
        let narrow = doctor(&diagnosis, &Style { unicode: false, width: 40, ..style });
        assert!(narrow.is_ascii() && narrow.lines().all(|line| line.len() <= 40), "{narrow}");
        diagnosis.checks.remove(1);
        assert!(doctor(&diagnosis, &style).ends_with("\nNothing is missing.\n"));
    }
}
