//! CSV for spreadsheets: `;` between cells, a byte order mark, formulas neutralised.
//!
//! Invariant: no cell begins like a formula, whoever chose its text.

/// Tells a spreadsheet that the file is UTF-8.
pub const BOM: char = '\u{feff}';

/// One line, without its end.
pub fn line(cells: &[String]) -> String {
    cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(";")
}

fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([';', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_text() {
        for (text, wanted) in [
            ("BC-1", "BC-1"),
            ("a;b", "\"a;b\""),
            ("dit \"oui\"", "\"dit \"\"oui\"\"\""),
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-3", "'-3"),
            ("", ""),
        ] {
            assert_eq!(cell(text), wanted);
        }
        assert_eq!(line(&["a".into(), "b;c".into()]), "a;\"b;c\"");
    }
}
