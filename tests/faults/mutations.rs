//! Scenarios that pass whatever is broken would show nothing: with each other's faults they fail.

use std::{fmt::Write, fs};

use e2e::{
    runs::{Played, Set, scratch},
    way::Stage,
};
use serde_json::Value;
use world::scenario::Scenario;

/// Of each of these the next one's fault lets something else happen.
const TEN: [&str; 10] = [
    "root:nxdomain",
    "tld:servfail",
    "auth1:refused",
    "auth1:lame",
    "resolver:servfail",
    "app1:refused",
    "app2:cut",
    "app1:status=503",
    "app1:tls-expired",
    "app2:endless",
];

/// The test.
pub(crate) fn with_each_others_faults() -> Result<(), String> {
    let all = Set::BuiltIn.scenarios()?;
    let find = |name| all.iter().find(|of| of.name == name).ok_or_else(|| format!("there is no scenario {name:?}"));
    let ten = TEN.into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let mut text = String::new();
    let mut mutants = Vec::new();
    for (scenario, other) in ten.iter().zip(ten.iter().cycle().skip(1)) {
        let name = format!("{} with {}", scenario.name, other.name);
        let mutant = Scenario { name: name.clone(), faults: other.faults.clone(), ..(*scenario).clone() };
        for one in [*scenario, &mutant] {
            let value = serde_json::to_value(one).map_err(|error| error.to_string())?;
            write!(text, "[[scenario]]\n{}\n", toml(&value)).map_err(|error| error.to_string())?;
        }
        mutants.push(name);
    }
    let file = scratch("mutations.toml");
    fs::write(&file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    let name = file.display().to_string();
    let output = Stage::Embedded { network: "loopback" }.visit(&["scenario", "--json", "-", &name]);
    let _ = fs::remove_file(&file);
    let output = output?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let played = Played::read(&output.stdout, said.clone())?;
    let mut mutants: Vec<&str> = mutants.iter().map(String::as_str).collect();
    mutants.sort_unstable();
    let failed = played.failed();
    if (output.status.code(), played.count(), &failed[..]) != (Some(1), 2 * TEN.len(), &mutants[..]) {
        return Err(format!("{} of {} failed: {failed:?}\n{said}", failed.len(), played.count()));
    }
    Ok(())
}

/// The members of an object as TOML. It has no word for null, and what is not said is the same.
fn toml(value: &Value) -> String {
    let members = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    members.map(|(key, value)| format!("{key:?} = {}\n", inline(value))).collect()
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members = map.iter().filter(|(_, value)| !value.is_null());
            let members: Vec<String> = members.map(|(key, value)| format!("{key:?} = {}", inline(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        // What JSON writes of text, numbers and truth, TOML reads.
        plain => plain.to_string(),
    }
}
