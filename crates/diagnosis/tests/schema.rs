//! The JSON Schemas in `docs/` are those of these types.

#[path = "../../journey/tests/document/mod.rs"]
mod document;

#[test]
fn the_schemas_in_docs_are_those_of_the_types() {
    document::check::<diagnosis::Series>("series");
    document::check::<diagnosis::compare::Comparison>("comparison");
}
