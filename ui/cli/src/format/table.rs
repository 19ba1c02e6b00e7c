//! Columns and fields for a terminal. Pure.
#![deny(clippy::disallowed_methods)]

const GAP: &str = "  ";

/// Left-aligned columns under their headings, one line per row.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(headings.iter().copied(), &widths);
    for row in &rows {
        text.push_str(&line(row.iter().map(String::as_str), &widths));
    }
    text
}

/// Names and values, one per line; values of several lines are indented.
pub fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in pairs {
        let mut name = *name;
        for part in value.lines() {
            let part = printable(part);
            text.push_str(format!("{name:width$}{GAP}{part}").trim_end());
            text.push('\n');
            name = "";
        }
    }
    text
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let padded: Vec<String> =
        cells.zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", padded.join(GAP).trim_end())
}

/// Names and messages come from other people's programs: what would move the
/// cursor or colour the terminal becomes a blank.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
