//! Any text as a kept journey: it is refused, or shown in every view without a control character.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::Value;
use view::{Detail, Style};
use visit::record_file::{self, Kept};

fuzz_target!(|text: &str| {
    let Ok(kept) = kept::parse(text) else { return };
    let style = Style { color: false, unicode: true, width: 80 };
    let shown = match &kept {
        Kept::Journey(journey) => {
            let about = packets::pcapng::About::default();
            if let Some(capture) = journey.capture.frames() {
                let _ = packets::pcapng::files(capture, about);
            }
            let detail = Detail { verbose: true, head: true, packets: true, ..Detail::default() };
            [view::screen(journey, &style, detail), view::json(&**journey)]
        }
        Kept::Series(series) => [view::series(series, &style, Detail::default()), view::json(&**series)],
    };
    for text in shown {
        let is_control = |c: &char| c.is_control() && *c != '\n';
        assert_eq!(text.chars().find(is_control), None);
    }
});

// Of bytes that change anywhere hardly any would still be a journey, so one value of the JSON changes at a time.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let Ok(mut root) = serde_json::from_slice::<Value>(&data[..size]) else {
        return fuzzer_mutate(data, size, max_size);
    };
    let mut random = Random(seed.into());
    let count = count(&root);
    let other = at(&mut root, &mut random.below(count)).cloned().unwrap_or_default();
    if let Some(value) = at(&mut root, &mut random.below(count)) {
        change(value, other, &mut random);
    }
    let text = root.to_string();
    if text.len() > max_size {
        return size;
    }
    data[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
});

fn change(value: &mut Value, other: Value, random: &mut Random) {
    const NUMBERS: [i64; 8] = [0, 1, -1, 255, 65_536, 1 << 32, i64::MAX, i64::MIN];
    match (random.below(4), value) {
        (0, value) => *value = other,
        (1, Value::Array(items)) if !items.is_empty() => {
            let nth = random.below(items.len());
            items.remove(nth);
        }
        (2, Value::Array(items)) if !items.is_empty() => {
            let again = items[random.below(items.len())].clone();
            items.push(again);
        }
        (_, Value::Array(items)) => items.push(other),
        (_, Value::Object(members)) => {
            let name = members.keys().nth(random.below(members.len().max(1))).cloned();
            match name {
                Some(name) => drop(members.remove(&name)),
                None => drop(members.insert(String::new(), other)),
            }
        }
        (1, value @ Value::Number(_)) => *value = u64::MAX.into(),
        (2, value @ Value::Number(_)) => *value = (random.next() as i64).into(),
        (_, value @ Value::Number(_)) => *value = NUMBERS[random.below(NUMBERS.len())].into(),
        (_, Value::Bool(is_so)) => *is_so = !*is_so,
        (1, value) => *value = Value::Null,
        (_, Value::String(text)) => {
            let mut bytes = text.clone().into_bytes();
            let size = bytes.len();
            bytes.resize(size + 16, 0);
            let changed = fuzzer_mutate(&mut bytes, size, size + 16);
            bytes.truncate(changed);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        (_, value) => *value = other,
    }
}

/// How many values there are in a value, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// The value with this number, counted from the outside in.
fn at<'v>(value: &'v mut Value, nth: &mut usize) -> Option<&'v mut Value> {
    if *nth == 0 {
        return Some(value);
    }
    *nth -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| at(item, nth)),
        Value::Object(members) => members.values_mut().find_map(|member| at(member, nth)),
        _ => None,
    }
}

/// SplitMix64: the seed is libFuzzer's, so that a run can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }
}
