//! What a command prints: sentences and tables for people, one document or one event per line for programs.
//!
//! Results go to standard output, everything else to standard error. It does not format values; `common::text` does.

use std::io::{self, IsTerminal, Write};

use common::text::Texts;
use serde::Serialize;

/// Where a command writes, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The user's language, with the spaces that standard output can show.
    pub texts: Texts,
    /// JSON instead of sentences.
    pub json: bool,
    /// No sentence when all went well.
    pub quiet: bool,
    /// Colors and bars are welcome.
    pub fancy: bool,
}

impl Output {
    /// Prints a sentence, unless `--json` or `--quiet`.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn say(&self, text: &str) -> io::Result<()> {
        if self.json || self.quiet { Ok(()) } else { writeln!(io::stdout().lock(), "{text}") }
    }

    /// Prints what was asked for, as a document or as text; `--quiet` does not silence an answer.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn answer(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json { writeln!(out, "{}", json(document)) } else { write!(out, "{}", text()) }
    }

    /// Prints one event on a line of its own, with `--json` only.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn event(&self, event: &impl Serialize) -> io::Result<()> {
        if self.json { writeln!(io::stdout().lock(), "{}", json(event)) } else { Ok(()) }
    }

    /// Prints a remark beside the result.
    pub fn remark(&self, text: &str) {
        if !self.quiet {
            note(text);
        }
    }
}

/// Writes a line to standard error; if even that fails there is nobody to tell.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// True if standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("documents are made of strings, numbers and lists")
}

/// A table: columns as wide as their widest cell, two spaces between them, no frame that a script would trip over.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    /// Starts a table with its headings; the columns in `right` are aligned to the right.
    pub fn new(headings: Vec<String>, right: &[usize]) -> Self {
        Self { rows: vec![headings], right: right.to_vec() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, each with its end.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| columns_of(cell)).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let padding = " ".repeat(widths[column].saturating_sub(columns_of(cell)));
                let (before, after) =
                    if self.right.contains(&column) { (padding, String::new()) } else { (String::new(), padding) };
                line.push_str(&before);
                line.push_str(cell);
                line.push_str(&after);
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Terminal columns of a text: combining accents take none, wide East Asian characters two.
fn columns_of(text: &str) -> usize {
    text.chars()
        .map(|character| match u32::from(character) {
            0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xff00..=0xff60 => 2,
            0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_accents() {
        let mut table = Table::new(vec!["Source".into(), "Taille".into(), "État".into()], &[1]);
        table.row(vec!["e\u{301}te\u{301}".into(), "1,3 Go".into(), "complet".into()]);
        table.row(vec!["bureautique".into(), "12 o".into(), String::new()]);
        assert_eq!(
            table.text(),
            "Source       Taille  État\ne\u{301}te\u{301}          1,3 Go  complet\nbureautique    12 o\n"
        );
    }
}
