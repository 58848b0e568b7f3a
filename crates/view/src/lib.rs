//! How a visit looks: pure functions from a journey, a series or a comparison to text. What came from elsewhere goes
//! through [`text::clean`] first.
//!
//! | module | what |
//! |---|---|
//! | `page` | lines, colours and widths |
//! | `screen` | a journey for people |
//! | `name` | the `name` stage: what this machine asked, and what the resolver asked |
//! | `route` | the `route` stage: who a packet is handed to, and why |
//! | `tcp` | what the kernel says of a connection |
//! | `tls` | the `tls` stage: what was agreed on, and the certificates |
//! | `root_walk` | this machine's own walk from the root |
//! | `raw` | `tcp://` and `udp://`: the bytes, and the socket calls of both sides |
//! | `packets` | the frames: in short, in full, and what kernels and switches knew |
//! | `layers` | frames header by header, field by field |
//! | `waterfall` | the stages on one time line |
//! | `series` | several visits of one URL |
//! | `compare` | two visits, or two series, side by side |
//! | `causes` | what a verdict stands on, and what went wrong besides |

mod causes;
mod compare;
mod layers;
mod name;
mod packets;
pub mod page;
mod raw;
mod root_walk;
mod route;
mod screen;
mod series;
mod tcp;
mod tls;
mod waterfall;

pub use compare::comparison;
pub use page::Style;
pub use screen::{Detail, screen};
pub use series::series;

use serde::Serialize;
use text::words;

/// A journey, a series, a comparison or a diagnosis as JSON, with a final newline.
pub fn json(record: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(record).expect("plain data with text keys");
    let mut escaped = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // All characters beyond ASCII stand in strings, where an escape means the same (RFC 8259 §7).
        if c != '\n' && text::is_escaped(c) {
            escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped.push('\n');
    escaped
}
