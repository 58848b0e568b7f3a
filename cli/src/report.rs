//! How things look: pure functions from data to text. Whatever came from elsewhere goes through [`clean`] first.
//!
//! | module | what |
//! |---|---|
//! | `page` | lines, colours, widths, and the cleaning of foreign text |
//! | `screen` | a journey for people |
//! | `name` | the `name` stage: what this machine asked, and what the resolver asked |
//! | `route` | the `route` stage: who a packet is handed to, and why |
//! | `tcp` | what the kernel says of a connection |
//! | `tls` | the `tls` stage: what was agreed on, and the certificates |
//! | `walk` | this machine's own walk from the root |
//! | `raw` | `tcp://` and `udp://`: the bytes, and the socket calls of both sides |
//! | `packets` | the frames: in short, in full, and what kernels and switches knew |
//! | `layers` | frames header by header, field by field |
//! | `waterfall` | the stages on one time line |
//! | `series` | several visits of one URL |
//! | `compare` | two visits, or two series, side by side |
//! | `doctor` | what this machine allows |
//! | `load` | many clients of the lab |
//! | `book` | the lab's address book |
//! | `faults` | the faults in force in a lab |
//! | `scenario` | scenarios, and what came of them |
//! | `causes` | what a verdict stands on, and what went wrong besides |
//! | `words` | times and sizes |

mod book;
mod causes;
mod compare;
mod doctor;
mod faults;
mod layers;
mod load;
mod name;
mod packets;
mod page;
mod raw;
mod route;
mod scenario;
mod screen;
mod series;
mod tcp;
mod tls;
mod walk;
mod waterfall;
mod words;

pub use book::book;
pub use compare::comparison;
pub use doctor::doctor;
pub use faults::faults;
pub use load::load;
pub use page::{Style, clean};
pub use scenario::{scenario_done, scenario_summary, scenarios};
pub use screen::{Detail, screen};
pub use series::series;
pub use words::long;
pub(crate) use words::{and, count};

use serde::Serialize;
use world::AddressBook;

/// A journey, a series, a comparison or a diagnosis as JSON, with a final newline.
pub fn json(record: &impl Serialize) -> String {
    pretty(record)
}

/// The address book as JSON, with a final newline.
pub fn book_json(book: &AddressBook) -> String {
    pretty(book)
}

fn pretty(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("plain data with text keys");
    let mut escaped = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // All characters beyond ASCII stand in strings, where an escape means the same (RFC 8259 §7).
        if c != '\n' && page::is_escaped(c) {
            escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped.push('\n');
    escaped
}
