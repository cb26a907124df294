//! Volumes as people write them on an order form: `500Go`, `1,5 To`, `750 GB`; decimal units.
//!
//! Invariant: exact integers; a volume that is not a whole number of bytes is refused.

/// The bytes of a volume; `None` if it is not one.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|letter: char| letter.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: String = number.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (whole, fraction) = number.split_once([',', '.']).unwrap_or((&number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 15 {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let scaled: u128 = format!("{whole}{fraction}").parse().ok()?;
    let bytes = scaled.checked_mul(unit_bytes(unit)?)?;
    if bytes % scale == 0 { u64::try_from(bytes / scale).ok() } else { None }
}

fn unit_bytes(unit: &str) -> Option<u128> {
    let prefix = match unit.to_ascii_lowercase().as_str() {
        "" | "o" | "b" => return Some(1),
        unit => unit.strip_suffix(['o', 'b'])?.to_owned(),
    };
    let power = ["k", "m", "g", "t", "p"].iter().position(|known| *known == prefix)?;
    Some(1_000u128.pow(u32::try_from(power).ok()? + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_in_french_and_in_english() {
        let rows = [
            ("500Go", Some(500_000_000_000)),
            ("500 Go", Some(500_000_000_000)),
            ("1,5 To", Some(1_500_000_000_000)),
            ("1.5TB", Some(1_500_000_000_000)),
            ("1 234,5\u{202f}Go", Some(1_234_500_000_000)),
            ("12", Some(12)),
            ("2 ko", Some(2_000)),
            ("0,0005 ko", None),
            ("", None),
            ("Go", None),
            ("-1 Go", None),
            ("1 Gio", None),
            ("1,2,3 Go", None),
            ("999999999999 Po", None),
        ];
        for (text, bytes) in rows {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }
}
