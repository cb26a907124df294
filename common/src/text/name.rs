//! Names of files as a terminal or a log may show them.
//!
//! It does not give a name that can be read back: JSON and restore use the bytes.
//!
//! Invariant: what comes out holds no control character and none that changes the direction of writing, so that a name found in
//! a backup cannot repaint the terminal of the person who lists it.

use std::fmt::Write;

/// The name or path; control characters and bytes that are not UTF-8 as `\x1b`, `\u{202e}`.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut text, character);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn push(text: &mut String, character: char) {
    match character {
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {
            let _ = write!(text, "\\x{:02x}", u32::from(character));
        }
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' => {
            let _ = write!(text, "{}", character.escape_unicode());
        }
        _ => text.push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_drive_the_terminal() {
        for (name, expected) in [
            (&b"rapport \xc3\xa9t\xc3\xa9.odt"[..], "rapport été.odt"),
            (b"e\xcc\x81", "e\u{301}"),
            (b"\xe9t\xe9", "\\xe9t\\xe9"),
            (b"\x1b[2Jx\n", "\\x1b[2Jx\\x0a"),
            ("facture\u{202e}fdp.exe".as_bytes(), "facture\\u{202e}fdp.exe"),
            ("\u{9b}31m".as_bytes(), "\\x9b31m"),
        ] {
            assert_eq!(shown(name), expected);
        }
    }
}
