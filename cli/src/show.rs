//! `visit show`: a kept journey, shown again without a network.

use anyhow::{Context, anyhow};
use journey::{Journey, SCHEMA_VERSION};
use serde_json::Value;

use crate::{
    Stopped,
    args::Show,
    print,
    report::{self, Detail, Style},
};

/// Shows a kept journey as it was shown when it was made; returns 0, whatever the journey's own exit code was.
pub fn run(show: &Show) -> Result<u8, Stopped> {
    let file = show.file.display().to_string();
    let text = world::read_text(&show.file).with_context(|| format!("cannot read {file}"))?;
    let journey = read(&text).map_err(|why| anyhow!("{file}: {why}"))?;
    let text = match show.json {
        true => report::json(&journey),
        false => {
            let detail = Detail { verbose: show.verbose, head: show.include };
            report::screen(&journey, &Style::detect(show.color), detail)
        }
    };
    print(&text)?;
    Ok(0)
}

/// A journey from its JSON. Those of older versions are read; what they had no place for is missing.
pub fn read(text: &str) -> Result<Journey, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    match value.get("schema_version").and_then(Value::as_u64) {
        None => return Err("it is no journey: it has no schema_version".to_owned()),
        Some(version) if version > u64::from(SCHEMA_VERSION) => {
            return Err(format!(
                "it has the schema version {version}, and this program knows those up to {SCHEMA_VERSION}: show it with \
                 a newer visit"
            ));
        }
        Some(_) => {}
    }
    serde_json::from_value(value).map_err(|error| format!("it is no journey: {error}"))
}
