//! The JSON Schema in `docs/` is that of this type.

mod document;

#[test]
fn the_schema_in_docs_is_that_of_the_type() {
    document::check::<journey::Journey>("journey");
}
