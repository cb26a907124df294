//! Tables of `dobaas-admin`: for people only; programs ask for `--json`.
//!
//! It does not format values: cells come from `common::text`.
//!
//! Invariant: without a terminal a table has no lines, no wrapping and no trailing space, so that it can be cut by column.

use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use common::text::Texts;

use super::command::Context;

/// Narrowest terminal that a table is wrapped for.
const WIDTH_MIN: u16 = 40;

/// A column: its heading is the text `admin-head-KEY`.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    key: &'static str,
    alignment: CellAlignment,
}

/// A column of words and dates, aligned to the left.
pub const fn words(key: &'static str) -> Column {
    Column { key, alignment: CellAlignment::Left }
}

/// A column of counts, sizes, shares and amounts, aligned to the right.
pub const fn figures(key: &'static str) -> Column {
    Column { key, alignment: CellAlignment::Right }
}

/// Prints a table, unless JSON was asked for.
///
/// # Errors
/// If standard output is closed.
pub fn print(context: &Context, columns: &[Column], rows: &[Vec<String>]) -> std::io::Result<()> {
    let output = &context.output;
    if output.json { Ok(()) } else { output.line(&render(output.texts, columns, rows, terminal_width())) }
}

/// The lines of a table, for a terminal of `width` columns, or for a pipe.
pub fn render(texts: Texts, columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.set_header(columns.iter().map(|column| cell(texts.say(&format!("admin-head-{}", column.key)), *column)));
    for row in rows {
        table.add_row(row.iter().zip(columns).map(|(text, column)| cell(text.clone(), *column)));
    }
    match width {
        Some(width) => {
            table.load_style(presets::UTF8_HORIZONTAL_ONLY);
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(WIDTH_MIN));
        }
        None => {
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn cell(text: String, column: Column) -> Cell {
    Cell::new(text).set_alignment(column.alignment)
}

fn terminal_width() -> Option<u16> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(&out).ok().map(|size| size.ws_col)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_aligned_to_the_right_and_a_pipe_gets_no_lines() {
        let columns = [words("reference"), figures("volume"), words("state")];
        let rows = [("BC-1", "500 Go", "actif"), ("BC-2026-100", "1,5 To", "suspendu")]
            .map(|(reference, volume, state)| vec![reference.to_owned(), volume.to_owned(), state.to_owned()]);
        let plain = render(Texts::FRENCH.plain(), &columns, &rows, None);
        assert_eq!(
            plain.lines().collect::<Vec<_>>(),
            [
                "Référence    Volume souscrit  État",
                "BC-1                  500 Go  actif",
                "BC-2026-100           1,5 To  suspendu",
            ]
        );
        let drawn = render(Texts::FRENCH, &columns, &rows, Some(60));
        assert!(drawn.contains('─'), "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 60), "{drawn}");
    }
}
