//! What follows from the record of a visit: pure functions of a [`journey::Journey`] or of its parts. The same record gives
//! the same conclusions, whoever asks, and as often as one likes.
//!
//! | module | what |
//! |---|---|
//! | [`causes`] | what was at fault, by rules that can be read one by one |
//! | [`verdict`] | from causes to the outcome and the exit code |
//! | [`findings`] | what does not fit together in a walk from the root |
//! | [`series`] | several visits of one URL, and the spread of their times |
//! | [`compare`] | what differs between two visits, or two series |

pub mod causes;
pub mod compare;
pub mod findings;
pub mod series;
pub mod verdict;

pub use series::Series;
