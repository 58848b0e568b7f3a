//! How the program's own things look, other than visits: those are the crate `view`.
//!
//! | module | what |
//! |---|---|
//! | `doctor` | what this machine allows |
//! | `load` | many clients of the lab |
//! | `book` | the lab's address book |
//! | `faults` | the faults in force in a lab |
//! | `scenario` | scenarios, and what came of them |

mod book;
mod doctor;
mod faults;
mod load;
mod scenario;

pub use book::book;
pub use doctor::doctor;
pub use faults::faults;
pub use load::load;
pub use scenario::{scenario_done, scenario_summary, scenarios};
