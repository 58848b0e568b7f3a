//! The JSON Schemas in `docs/` are those of these types.

use std::{env, fs, path::Path};

fn check<T: schemars::JsonSchema>(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let mut schema = serde_json::to_string_pretty(&schemars::schema_for!(T)).unwrap();
    schema.push('\n');
    if env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&file, &schema).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == schema, "docs/{name} is out of date: UPDATE_SCHEMA=1 cargo test --workspace --test schema");
}

#[test]
fn the_schemas_in_docs_are_those_of_the_types() {
    check::<diagnosis::Series>("series.schema.json");
    check::<diagnosis::compare::Comparison>("comparison.schema.json");
}
