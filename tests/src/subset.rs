//! Whether a value contains what is expected of it.

use serde_json::Value;

/// Whether `seen` contains `expected`: an object has all the expected members, an array has for every expected element
/// one that contains it, text that begins with `~` is part of the seen text, `"null"` is null (TOML has no word for it),
/// everything else is equal. The error says where it does not.
pub fn contains(seen: &Value, expected: &Value) -> Result<(), String> {
    match (seen, expected) {
        (Value::Object(seen), Value::Object(expected)) => {
            for (key, expected) in expected {
                let value = seen.get(key).ok_or_else(|| format!("/{key} is missing"))?;
                contains(value, expected).map_err(|why| format!("/{key}{why}"))?;
            }
            Ok(())
        }
        (Value::Array(seen), Value::Array(expected)) => {
            for expected in expected {
                if !seen.iter().any(|seen| contains(seen, expected).is_ok()) {
                    return Err(format!(" has no element that contains {expected}"));
                }
            }
            Ok(())
        }
        (Value::String(seen), Value::String(expected)) if expected.starts_with('~') => {
            let part = &expected[1..];
            if seen.contains(part) { Ok(()) } else { Err(format!(" is {seen:?}, which does not contain {part:?}")) }
        }
        (Value::Null, Value::String(expected)) if expected == "null" => Ok(()),
        (seen, expected) if seen == expected => Ok(()),
        (seen, expected) => Err(format!(" is {seen}, expected {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_contained() {
        let seen = json!({"a": 1, "b": [{"c": "one two", "d": null}, 3]});
        for expected in [
            json!({}),
            json!({"a": 1}),
            json!({"b": [3]}),
            json!({"b": [{"c": "~two"}]}),
            json!({"b": [{"d": "null"}]}),
        ] {
            assert_eq!(contains(&seen, &expected), Ok(()), "{expected}");
        }
        for expected in
            [json!({"a": 2}), json!({"x": 1}), json!({"b": [4]}), json!({"b": [{"c": "~three"}]}), json!([])]
        {
            assert!(contains(&seen, &expected).is_err(), "{expected}");
        }
        assert_eq!(
            contains(&seen, &json!({"b": {"c": 1}})).unwrap_err(),
            format!("/b is {}, expected {}", seen["b"], json!({"c": 1}))
        );
    }
}
