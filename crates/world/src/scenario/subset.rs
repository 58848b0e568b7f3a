//! Whether a value contains what is expected of it.

use std::fmt;

use serde_json::Value;

/// Where a value does not contain what is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, as `/hops/stages`.
    pub at: String,
    /// What is expected there.
    pub expected: Value,
    /// What is there; none where nothing is.
    pub seen: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, expected, seen } = self;
        match (seen, expected) {
            (None, _) => write!(f, "{at} is missing, expected {expected}"),
            (Some(Value::Array(_)), expected) if !expected.is_array() => {
                write!(f, "{at} has no element that contains {expected}")
            }
            (Some(seen), Value::String(part)) if part.starts_with('~') => {
                write!(f, "{at} is {seen}, which does not contain {:?}", &part[1..])
            }
            (Some(seen), expected) => write!(f, "{at} is {seen}, expected {expected}"),
        }
    }
}

/// Whether `seen` contains `expected`: an object has all the expected members, an array has for every expected element
/// one that contains it, text that begins with `~` is part of the seen text, `"null"` is null (TOML has no word for it),
/// everything else is equal. The error says where it does not.
pub fn contains(seen: &Value, expected: &Value) -> Result<(), Difference> {
    let differs = || Err(Difference { at: String::new(), expected: expected.clone(), seen: Some(seen.clone()) });
    match (seen, expected) {
        (Value::Object(seen), Value::Object(expected)) => {
            for (key, expected) in expected {
                let Some(value) = seen.get(key) else {
                    return Err(Difference { at: format!("/{key}"), expected: expected.clone(), seen: None });
                };
                contains(value, expected).map_err(|why| Difference { at: format!("/{key}{}", why.at), ..why })?;
            }
            Ok(())
        }
        (Value::Array(list), Value::Array(expected)) => {
            for expected in expected {
                if !list.iter().any(|seen| contains(seen, expected).is_ok()) {
                    // Where one alone can be meant, what is wrong with it.
                    return match list.as_slice() {
                        [one] => {
                            contains(one, expected).map_err(|why| Difference { at: format!("/0{}", why.at), ..why })
                        }
                        _ => {
                            Err(Difference { at: String::new(), expected: expected.clone(), seen: Some(seen.clone()) })
                        }
                    };
                }
            }
            Ok(())
        }
        (Value::String(seen), Value::String(expected)) if expected.starts_with('~') => {
            if seen.contains(&expected[1..]) { Ok(()) } else { differs() }
        }
        (Value::Null, Value::String(expected)) if expected == "null" => Ok(()),
        (seen, expected) if seen == expected => Ok(()),
        _ => differs(),
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
    }

    #[test]
    fn differences_in_words() {
        let seen = json!({"a": 1, "b": [{"c": "one two"}], "d": [1, 2]});
        let check = |expected: Value, words: &str| {
            assert_eq!(contains(&seen, &expected).unwrap_err().to_string(), words);
        };
        check(json!({"a": 2}), "/a is 1, expected 2");
        check(json!({"x": 2}), "/x is missing, expected 2");
        check(json!({"b": [{"c": "~three"}]}), "/b/0/c is \"one two\", which does not contain \"three\"");
        check(json!({"d": [3]}), "/d has no element that contains 3");
    }
}
