//! Records of a zone file's text exchanged for others. Pure, and no reader of zone files: the name servers have that.

/// The text of a zone file in which these records stand for all that have the same owner and type, with a higher serial
/// number. A record is written as in the file, on one line: `www 300 IN A 10.78.2.82`; so must be those that it replaces.
pub fn replace(text: &str, records: &[String]) -> Result<String, String> {
    let news: Vec<Key> = records.iter().map(|record| key(record)).collect::<Result<_, _>>()?;
    let mut lines: Vec<String> = Vec::new();
    // What has no owner of its own has that of the record before, which may go.
    let (mut owner, mut depth) = (String::new(), 0_i32);
    for line in text.lines() {
        let within = depth > 0;
        let code = line.split(';').next().unwrap_or_default();
        depth += code.chars().map(|c| i32::from(c == '(') - i32::from(c == ')')).sum::<i32>();
        let Ok(mut seen) = key(line) else {
            lines.push(line.to_owned());
            continue;
        };
        let inherits = line.starts_with([' ', '\t']);
        match inherits {
            _ if within => {}
            true => seen.owner.clone_from(&owner),
            false => owner.clone_from(&seen.owner),
        }
        if within || !news.contains(&seen) {
            lines.push(if inherits && !within { format!("{owner}{line}") } else { line.to_owned() });
        }
    }
    let soa = lines.iter().position(|line| words(line).any(|word| word.eq_ignore_ascii_case("SOA")));
    if let Some(soa) = soa {
        raise_serial(&mut lines[soa..]);
    }
    lines.extend(records.iter().cloned());
    Ok(lines.join("\n") + "\n")
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    owner: String,
    rtype: String,
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(';').next().unwrap_or_default().split_ascii_whitespace()
}

fn key(line: &str) -> Result<Key, String> {
    let wrong = || format!("{line:?} is no record: write OWNER [TTL] [IN] TYPE DATA, like \"www 300 IN A 10.78.2.82\"");
    let mut words = words(line).peekable();
    let owner = match line.starts_with([' ', '\t']) {
        true => String::new(),
        false => words.next().ok_or_else(wrong)?.to_ascii_lowercase(),
    };
    let is_before_type = |word: &&str| {
        word.eq_ignore_ascii_case("IN") || word.bytes().next().is_some_and(|first| first.is_ascii_digit())
    };
    while words.next_if(is_before_type).is_some() {}
    let rtype = words.next().ok_or_else(wrong)?.to_ascii_uppercase();
    words.next().ok_or_else(wrong)?;
    Ok(Key { owner, rtype })
}

/// The first number behind SOA: the two names before it are none.
fn raise_serial(lines: &mut [String]) {
    let mut behind = false;
    for line in lines {
        let end = line.find(';').unwrap_or(line.len());
        let mut at = 0;
        if !behind {
            let Some(soa) = line[..end].to_ascii_uppercase().find("SOA") else { continue };
            (behind, at) = (true, soa + 3);
        }
        let word = line[at..end].split_ascii_whitespace().find(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(serial) = word.and_then(|word| word.parse::<u32>().ok()) {
            let old = serial.to_string();
            if let Some(found) = line[at..end].find(&old) {
                line.replace_range(at + found..at + found + old.len(), &serial.wrapping_add(1).to_string());
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "$ORIGIN example.local.\n@ IN SOA ns1 host 2026112301 1800 900 ; 5\nwww IN A 10.78.2.81 ; one\n 300 IN A \
                        10.78.2.82\n  IN AAAA ::1\nwww2 IN A 10.78.2.81\n";

    #[test]
    fn all_of_the_same_owner_and_type() {
        let new = replace(ZONE, &["WWW 60 IN A 10.78.2.99".to_owned()]).unwrap();
        assert_eq!(
            new,
            "$ORIGIN example.local.\n@ IN SOA ns1 host 2026112302 1800 900 ; 5\nwww  IN AAAA ::1\nwww2 IN A 10.78.2.81\nWWW 60 IN \
             A 10.78.2.99\n"
        );
    }

    #[test]
    fn serial_on_a_line_of_its_own() {
        let new = replace("@ IN SOA ns1 host (\n  7 ; the serial\n 1800)\n", &[]).unwrap();
        assert_eq!(new, "@ IN SOA ns1 host (\n  8 ; the serial\n 1800)\n");
    }

    #[test]
    fn what_is_no_record() {
        for text in ["", "www", "www A", "www 300 IN A"] {
            assert!(replace(ZONE, &[text.to_owned()]).is_err(), "{text}");
        }
    }
}
