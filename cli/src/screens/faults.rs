//! The faults in force in a lab.

use crate::fault_command::Row;
use text::words::{self, duration};
use view::{
    Style,
    page::{Ink, Page, dim, piece, plain},
};

/// Where, which, how often it has struck, and when it ends.
pub fn faults(rows: &[Row], style: &Style) -> String {
    let mut page = Page::new(style);
    if rows.is_empty() {
        page.line(
            0,
            &[plain("No fault is in force. "), dim("To set one: visit lab fault add auth1:servfail --for 60s")],
        );
        return page.into_text();
    }
    let host_width = column("host", rows.iter().map(|row| row.host.len()));
    let id_width = column("id", rows.iter().map(|row| row.fault.id.to_string().len()));
    let fault_width = column("fault", rows.iter().map(|row| row.fault.fault.chars().count().min(44)));
    let struck_width = column("struck", rows.iter().map(|row| row.fault.struck.to_string().len()));
    let indent = host_width + id_width + 4;
    page.line(
        indent,
        &[dim(format!(
            "{:host_width$}  {:>id_width$}  {:fault_width$}  {:>struck_width$}  ends in",
            "host", "id", "fault", "struck"
        ))],
    );
    for row in rows {
        let left = row.fault.left_ms.map_or_else(|| "—".to_owned(), left);
        page.line(
            indent,
            &[
                piece(Ink::Host, format!("{:host_width$}", row.host)),
                plain(format!("  {:>id_width$}  ", row.fault.id)),
                piece(Ink::Warn, format!("{:fault_width$}", row.fault.fault)),
                plain(format!("  {:>struck_width$}  {left}", row.fault.struck)),
            ],
        );
    }
    page.gap();
    let one = rows.first().map(|row| format!("{}/{}", row.host, row.fault.id)).unwrap_or_default();
    page.line(
        0,
        &[
            dim("To end one: "),
            plain(format!("visit lab fault clear {one}")),
            dim("; all: "),
            plain("visit lab fault clear"),
        ],
    );
    page.into_text()
}

fn left(ms: u64) -> String {
    match ms {
        0..10_000 => duration(ms.saturating_mul(1_000)),
        _ => words::long(ms / 1_000),
    }
}

fn column(head: &str, widths: impl Iterator<Item = usize>) -> usize {
    widths.max().unwrap_or_default().max(head.len())
}

#[cfg(test)]
mod tests {
    use world::fault::Listed;

    use super::*;

    #[test]
    fn a_table() {
        let row = |host: &str, id, fault: &str, struck, left_ms| Row {
            host: host.to_owned(),
            fault: Listed { id, fault: fault.to_owned(), struck, left_ms },
        };
        let rows = [
            row("auth1", 1, "auth:servfail,type=A,first=2", 2, None),
            row("resolver", 12, "resolver:slow=300ms", 1_204, Some(4_200)),
            row("wire", 1, "wire:loss=20%,seed=7", 0, Some(61_000)),
        ];
        let style = Style { color: false, unicode: true, width: 80 };
        let text = faults(&rows, &style);
        assert!(text.lines().all(|line| line.chars().count() <= 80 && line.trim_end() == line), "{text}");
        insta::assert_snapshot!("faults", text);
        assert!(faults(&[], &Style { unicode: false, ..style }).is_ascii());
    }
}
