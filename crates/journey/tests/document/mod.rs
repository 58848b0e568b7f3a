//! What the schemas in `docs/` have besides their types: where they are, and an example of each.

use std::{env, fs, path::Path};

use schemars::JsonSchema;
use serde_json::{Value, json};

/// Where the files can be had.
const HOME: &str = "https://visit.example/schema";

/// The schema of a type is the one in `docs/`, and its example is one of the type; `UPDATE_SCHEMA` writes it anew.
pub(crate) fn check<T: JsonSchema + serde::de::DeserializeOwned>(name: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let (file, example) = (docs.join(format!("{name}.schema.json")), docs.join(format!("examples/{name}.json")));
    let example: Value = serde_json::from_str(&fs::read_to_string(example).unwrap()).unwrap();
    serde_json::from_value::<T>(example.clone()).unwrap();
    let mut schema = serde_json::to_value(schemars::schema_for!(T)).unwrap();
    schema["$id"] = json!(format!("{HOME}/{name}.schema.json"));
    schema["examples"] = json!([example]);
    let mut text = serde_json::to_string_pretty(&schema).unwrap();
    text.push('\n');
    if env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let renew = "UPDATE_SCHEMA=1 cargo test --workspace --test schema";
    assert!(kept == text, "docs/{name}.schema.json is out of date: {renew}");
    is_for_users(&schema, name);
}

/// Every property says what it is, in words that need no Rust.
fn is_for_users(part: &Value, at: &str) {
    match part {
        Value::Object(members) => {
            if let Some(text) = members.get("description").and_then(Value::as_str) {
                assert!(!text.contains("[`") && !text.contains("::"), "{at}: {text}");
            }
            for (name, property) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let says = ["description", "const"].iter().any(|key| property.get(key).is_some());
                assert!(says, "{at}: {name} has no description");
            }
            members
                .iter()
                .filter(|(key, _)| *key != "examples")
                .for_each(|(key, part)| is_for_users(part, &format!("{at}/{key}")));
        }
        Value::Array(parts) => parts.iter().for_each(|part| is_for_users(part, at)),
        _ => {}
    }
}
