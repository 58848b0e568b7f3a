//! The JSON Schema in `docs/` is the one of these types.

use std::{env, fs, path::Path};

#[test]
fn the_schema_in_docs_is_the_one_of_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/journey.schema.json");
    let mut schema = serde_json::to_string_pretty(&schemars::schema_for!(journey::Journey)).unwrap();
    schema.push('\n');
    if env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&file, &schema).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == schema,
        "docs/journey.schema.json is out of date: UPDATE_SCHEMA=1 cargo test -p journey --test schema"
    );
}
