//! A saved record is foreign text like any other: whatever stands in it, the views do not panic, and the terminal gets no
//! character from it that it obeys.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use diagnosis::compare;
use journey::MadeBy;
use proptest::{prelude::*, sample::Index};
use secrets::Secrets;
use serde_json::{Value, json};
use view::{Detail, Style};
use visit::record_file::{self, Kept};

/// All saved records, as JSON.
static SAVED: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut all: Vec<Value> = Vec::new();
    for folder in ["journeys", "journeys/v1", "journeys/series"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                all.push(serde_json::from_slice(&fs::read(path).unwrap()).unwrap());
            }
        }
    }
    let mut with_journeys = all.iter().find(|value| value.get("visits").is_some()).unwrap().clone();
    with_journeys["journeys"] = all.iter().find(|value| value.get("hops").is_some()).cloned().into_iter().collect();
    all.push(with_journeys);
    all
});

const EVERYTHING: Detail = Detail {
    verbose: true,
    head: true,
    packets: true,
    layers: Some(packets::layers::Model::Osi),
    secrets: Secrets::Removed,
};

/// Every view of this record, also beside a saved one.
fn views(kept: &Kept) -> String {
    let mut text = String::new();
    for (width, unicode) in [(40, true), (80, false), (120, true)] {
        let style = Style { color: false, unicode, width };
        let made_by = MadeBy { name: "visit".to_owned(), version: String::new() };
        let comparison = match kept {
            Kept::Journey(journey) => {
                text.push_str(&view::screen(journey, &style, EVERYTHING));
                text.push_str(&view::screen(journey, &style, Detail::default()));
                compare::visits(journey, &reference(), made_by)
            }
            Kept::Series(series) => {
                text.push_str(&view::series(series, &style, EVERYTHING));
                compare::series(series, series, made_by)
            }
        };
        text.push_str(&view::comparison(&comparison, ["a", "b"], &style, EVERYTHING));
    }
    text
}

fn reference() -> journey::Journey {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys/reached.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// JSON pointers to everything in a value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(nth, item)| pointers(item, &format!("{at}/{nth}"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| pointers(member, &format!("{at}/{name}"), found));
        }
        _ => {}
    }
}

/// A record in which everything of this kind is replaced, as far as it can still be read: what is more than text or a
/// number (an address, a word of a list) is refused when it is read. Members of the same name go together. Also returns how
/// many places have changed.
fn replaced(saved: &Value, kind: fn(&Value) -> bool, new: &Value) -> (Kept, usize) {
    let mut all = Vec::new();
    pointers(saved, "", &mut all);
    let mut by_name: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for pointer in all.iter().filter(|pointer| saved.pointer(pointer).is_some_and(kind)) {
        let name = pointer.split('/').filter(|part| part.parse::<usize>().is_err()).collect::<Vec<_>>().join("/");
        by_name.entry(name).or_default().push(pointer);
    }
    by_name.remove("/schema_version");
    let (mut value, mut kept, mut count) = (saved.clone(), None, 0);
    // What lies inside goes first.
    for pointers in by_name.values().rev() {
        let mut changed = value.clone();
        for pointer in pointers {
            // What lay inside something that has been replaced is gone.
            if let Some(place) = changed.pointer_mut(pointer) {
                *place = new.clone();
            }
        }
        if let Ok(readable) = record_file::parse(&changed.to_string()) {
            value = changed;
            kept = Some(readable);
            count += pointers.len();
        }
    }
    (kept.expect("something can be replaced"), count)
}

#[test]
fn no_text_in_a_file_drives_the_terminal() {
    const EVIL: &str = "\u{1b}[2J\u{1b}]0;t\u{7}a\r\n\tb\u{9b}31m\u{202e}\u{200b}\u{7f}";
    let mut count = 0;
    for saved in SAVED.iter() {
        let (kept, changed) = replaced(saved, Value::is_string, &EVIL.into());
        count += changed;
        let text = views(&kept);
        let bad = text.chars().find(|c| *c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{200b}')));
        assert_eq!(bad, None, "{text}");
        assert!(text.contains("\\u{1b}[2J"), "{text}");
    }
    assert!(count > 1_000, "{count} texts");
}

/// A change to one place of a record.
#[derive(Clone, Debug)]
enum Change {
    Put(Value),
    Remove,
    Repeat(usize),
    Swap,
}

fn change() -> impl Strategy<Value = Change> {
    let values = prop_oneof![
        Just(json!(null)),
        Just(json!(0)),
        Just(json!(1)),
        Just(json!(255)),
        Just(json!(65_535)),
        Just(json!(u32::MAX)),
        Just(json!(u64::MAX)),
        Just(json!(i64::MAX)),
        Just(json!(i64::MIN)),
        Just(json!([])),
        Just(json!("")),
        Just(json!(".")),
        Just(json!("不 \u{301}\u{202e}")),
        Just(json!("x".repeat(5_000))),
        Just(json!(true)),
        Just(json!("failed")),
        Just(json!("skipped")),
        Just(json!("not_reached")),
        any::<u64>().prop_map(|number| json!(number)),
    ];
    prop_oneof![
        6 => values.prop_map(Change::Put),
        1 => Just(Change::Remove),
        1 => (1..40_usize).prop_map(Change::Repeat),
        1 => Just(Change::Swap),
    ]
}

fn apply(value: &mut Value, pointer: &str, change: &Change) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match (change, value.pointer_mut(parent)) {
        (Change::Put(new), Some(Value::Object(members))) => {
            members.insert(name.to_owned(), new.clone());
        }
        (_, Some(Value::Array(items))) => {
            let Ok(nth) = name.parse::<usize>() else { return };
            if nth >= items.len() {
                return;
            }
            match change {
                Change::Put(new) => items[nth] = new.clone(),
                Change::Remove => {
                    items.remove(nth);
                }
                Change::Repeat(times) => {
                    let item = items[nth].clone();
                    items.extend(std::iter::repeat_n(item, *times));
                }
                Change::Swap => items.reverse(),
            }
        }
        _ => {}
    }
}

/// Everywhere at once: what is most likely to break arithmetic.
#[test]
fn extreme_numbers_everywhere() {
    for number in [json!(0), json!(255), json!(65_535), json!(u32::MAX), json!(u64::MAX), json!(i64::MAX)] {
        for saved in SAVED.iter() {
            let (kept, count) = replaced(saved, Value::is_number, &number);
            assert!(count > 20, "{count} numbers");
            views(&kept);
        }
    }
}

/// Calls of a socket are summed up, also by a number that stands in the record.
#[test]
fn extreme_numbers_of_calls() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys/talk.json");
    let saved: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let call = |at_us: u64, duration_us: u64, name: &str, stands_for: u64| json!({ "name": name, "with": "1", "gave": "", "at_us": at_us, "duration_us": duration_us, "stands_for": stands_for });
    for (last, shown) in [
        (call(0, 0, "…", u64::MAX), format!("… {} more calls", usize::MAX)),
        (call(u64::MAX, u64::MAX, "recv", 0), "… 12 more calls".to_owned()),
    ] {
        let mut value = saved.clone();
        let stages = value.pointer_mut("/hops/0/stages").unwrap().as_array_mut().unwrap();
        let stage = stages.iter_mut().find(|stage| stage["calls"].as_array().is_some_and(|calls| calls.len() > 1));
        let mut calls = vec![call(0, 0, "recv", 0); 19];
        calls.push(last);
        stage.unwrap()["calls"] = calls.into();
        let text = views(&record_file::parse(&value.to_string()).unwrap());
        assert!(text.contains(&shown), "{shown}: {text}");
    }
}

#[test]
fn empty_lists_everywhere() {
    for saved in SAVED.iter() {
        let (kept, count) = replaced(saved, Value::is_array, &json!([]));
        assert!(count > 2, "{count} lists");
        views(&kept);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_record_makes_a_view_panic(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), change()), 1..12),
    ) {
        let mut value = which.get(&SAVED).clone();
        let mut readable = None;
        for (place, change) in changes {
            let mut all = Vec::new();
            pointers(&value, "", &mut all);
            let mut changed = value.clone();
            let pointer: &String = place.get(&all);
            apply(&mut changed, pointer, &change);
            // A change that makes it unreadable is passed over, so that the others are looked at.
            if let Ok(kept) = record_file::parse(&changed.to_string()) {
                value = changed;
                readable = Some(kept);
            }
        }
        if let Some(kept) = readable {
            views(&kept);
        }
    }
}
