//! Any text as a kept journey: it is refused, or shown in every view without a control character.
#![no_main]

use libfuzzer_sys::fuzz_target;
use view::{Detail, Style};
use visit::kept::{self, Kept};

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
