//! Numbers as people read them: counts, sizes, rates, shares, money, durations.
//!
//! Integers only: no value here passes through floating point. Sizes are decimal (1 Go = 10⁹ octets), with one decimal at most.

use super::{Arg, Lang, Spaces, Texts};

const MILLION: u64 = 1_000_000;
/// From this size on, terabytes; below, gigabytes keep the precision that a quota needs.
const TERA_FROM_BYTES: u64 = 10_000_000_000_000;

/// The plural category of CLDR: 0 and 1 are singular, and round millions take "de".
pub(super) fn french_plural(count: u64) -> &'static str {
    match count {
        0 | 1 => "one",
        count if count.is_multiple_of(MILLION) => "many",
        _ => "other",
    }
}

/// The plural category of CLDR.
pub(super) fn english_plural(count: u64) -> &'static str {
    if count == 1 { "one" } else { "other" }
}

impl Texts {
    /// A whole number: `1 234`.
    pub fn integer(self, value: u64) -> String {
        let digits = value.to_string();
        let mut text = String::with_capacity(digits.len() * 2);
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                text.push(self.group());
            }
            text.push(digit);
        }
        text
    }

    /// A count in a sentence: as [`Self::integer`], but round millions in words: `3 millions`.
    pub fn count(self, value: u64) -> String {
        if value >= MILLION && value.is_multiple_of(MILLION) {
            self.millions(value / MILLION)
        } else {
            self.integer(value)
        }
    }

    fn millions(self, millions: u64) -> String {
        let number = self.integer(millions);
        match (self.lang, millions) {
            (Lang::French, 1) => format!("{number} million"),
            (Lang::French, _) => format!("{number} millions"),
            (Lang::English, _) => format!("{number} million"),
        }
    }

    /// A number given in tenths: `1 234,5`; no decimal when it is zero.
    pub fn tenths(self, tenths: u64) -> String {
        match tenths % 10 {
            0 => self.integer(tenths / 10),
            decimal => format!("{}{}{decimal}", self.integer(tenths / 10), self.decimal_point()),
        }
    }

    /// A size in bytes: `1 234,5 Go`.
    pub fn size(self, bytes: u64) -> String {
        let units = match self.lang {
            Lang::French => ["o", "ko", "Mo", "Go", "To"],
            Lang::English => ["B", "kB", "MB", "GB", "TB"],
        };
        let ends = [1_000, 1_000_000, 1_000_000_000, TERA_FROM_BYTES];
        let mut unit_bytes = 1;
        for (unit, end) in units.iter().zip(ends) {
            let tenths = in_tenths(bytes, unit_bytes);
            if tenths < in_tenths(end, unit_bytes) {
                return format!("{}{}{unit}", self.tenths(tenths), self.unit_space());
            }
            unit_bytes *= 1_000;
        }
        format!("{}{}{}", self.tenths(in_tenths(bytes, unit_bytes)), self.unit_space(), units[4])
    }

    /// A rate: `12,3 Mo/s`.
    pub fn rate(self, bytes_per_s: u64) -> String {
        format!("{}/s", self.size(bytes_per_s))
    }

    /// A share: `0,2 %`, rounded to a tenth; of nothing, 0.
    pub fn percent(self, part: u64, whole: u64) -> String {
        let space = match (self.lang, self.spaces) {
            (Lang::French, Spaces::Typographic) => "\u{a0}",
            (Lang::French, Spaces::Plain) => " ",
            (Lang::English, _) => "",
        };
        let tenths = if whole == 0 { 0 } else { rounded(u128::from(part) * 1_000, u128::from(whole)) };
        format!("{}{space}%", self.tenths(tenths))
    }

    /// A small share: `0,15 %`, rounded to a hundredth; of nothing, 0.
    pub fn percent_fine(self, part: u64, whole: u64) -> String {
        let hundredths = if whole == 0 { 0 } else { rounded(u128::from(part) * 10_000, u128::from(whole)) };
        let (units, rest) = (hundredths / 100, hundredths % 100);
        let space = match (self.lang, self.spaces) {
            (Lang::French, Spaces::Typographic) => "\u{a0}",
            (Lang::French, Spaces::Plain) => " ",
            (Lang::English, _) => "",
        };
        format!("{}{}{rest:02}{space}%", self.integer(units), self.decimal_point())
    }

    /// An amount in euro cents, excluding VAT unless the sentence says otherwise: `1 234,50 €`.
    pub fn euros(self, cents: u64) -> String {
        let amount = format!("{}{}{:02}", self.integer(cents / 100), self.decimal_point(), cents % 100);
        match (self.lang, self.spaces) {
            (Lang::French, Spaces::Typographic) => format!("{amount}\u{a0}€"),
            (Lang::French, Spaces::Plain) => format!("{amount} €"),
            (Lang::English, _) => format!("€{amount}"),
        }
    }

    /// How long something took or will take: `0,4 s`, `2 min 05 s`, `1 h 03 min`, `2 j 3 h`.
    pub fn duration(self, ms: u64) -> String {
        let (seconds, space) = (ms / 1_000, self.unit_space());
        let day = match self.lang {
            Lang::French => "j",
            Lang::English => "d",
        };
        match seconds {
            0..10 => format!("{}{space}s", self.tenths(rounded(u128::from(ms), 100))),
            10..60 => format!("{seconds}{space}s"),
            60..3_600 => format!("{}{space}min{space}{:02}{space}s", seconds / 60, seconds % 60),
            3_600..86_400 => format!("{}{space}h{space}{:02}{space}min", seconds / 3_600, seconds / 60 % 60),
            _ => format!("{}{space}{day}{space}{}{space}h", self.integer(seconds / 86_400), seconds / 3_600 % 24),
        }
    }

    /// A counted thing: the message `key`, whose variable is `count`.
    pub fn counted(self, key: &str, count: u64) -> String {
        self.say_with(key, &[("count", Arg::Count(count))])
    }

    const fn group(self) -> char {
        match (self.lang, self.spaces) {
            (Lang::French, Spaces::Typographic) => '\u{202f}',
            (Lang::French, Spaces::Plain) => ' ',
            (Lang::English, _) => ',',
        }
    }

    const fn decimal_point(self) -> char {
        match self.lang {
            Lang::French => ',',
            Lang::English => '.',
        }
    }

    const fn unit_space(self) -> char {
        match (self.lang, self.spaces) {
            (Lang::French, Spaces::Typographic) => '\u{202f}',
            _ => ' ',
        }
    }
}

fn in_tenths(bytes: u64, unit_bytes: u64) -> u64 {
    if unit_bytes == 1 { bytes.saturating_mul(10) } else { rounded(u128::from(bytes) * 10, u128::from(unit_bytes)) }
}

/// The nearest whole quotient, halves up.
fn rounded(value: u128, divisor: u128) -> u64 {
    u64::try_from((value + divisor / 2) / divisor).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FR: Texts = Texts::FRENCH;
    const EN: Texts = Texts::ENGLISH;

    #[test]
    fn golden_french_values_are_those_of_cldr() {
        assert_eq!(FR.tenths(12_345), "1\u{202f}234,5");
        assert_eq!(FR.size(1_234_500_000_000), "1\u{202f}234,5\u{202f}Go");
        assert_eq!(FR.size(12), "12\u{202f}o");
        assert_eq!(FR.percent(2, 1_000), "0,2\u{a0}%");
        assert_eq!(FR.euros(123_450), "1\u{202f}234,50\u{a0}€");
        assert_eq!(FR.count(1_000_000), "1 million");
        assert_eq!(FR.count(2_000_000), "2 millions");
        assert_eq!(FR.count(1_000_001), "1\u{202f}000\u{202f}001");
    }

    #[test]
    fn plain_spaces_leave_nothing_that_cut_or_awk_trip_over() {
        let plain = FR.plain();
        assert_eq!(plain.size(1_234_500_000_000), "1 234,5 Go");
        assert_eq!(plain.percent(2, 1_000), "0,2 %");
        assert_eq!(plain.euros(123_450), "1 234,50 €");
        assert_eq!(plain.duration(125_000), "2 min 05 s");
    }

    #[test]
    fn sizes_round_into_the_next_unit() {
        let check = |bytes, expected: &str| assert_eq!(FR.plain().size(bytes), expected, "{bytes}");
        check(0, "0 o");
        check(999, "999 o");
        check(1_000, "1 ko");
        check(1_050, "1,1 ko");
        check(999_949, "999,9 ko");
        check(999_950, "1 Mo");
        check(383_000_000, "383 Mo");
        check(999_949_999, "999,9 Mo");
        check(999_950_000, "1 Go");
        check(9_999_900_000_000, "9 999,9 Go");
        check(9_999_960_000_000, "10 To");
        check(u64::MAX, "18 446 744,1 To");
    }

    #[test]
    fn english_values() {
        assert_eq!(EN.size(1_234_500_000_000), "1,234.5 GB");
        assert_eq!(EN.percent(2, 1_000), "0.2%");
        assert_eq!(EN.count(3_000_000), "3 million");
        assert_eq!(EN.duration(180_000_000), "2 d 2 h");
    }

    #[test]
    fn shares_and_durations() {
        assert_eq!(FR.plain().percent(1, 0), "0 %");
        assert_eq!(FR.plain().percent(u64::MAX, u64::MAX), "100 %");
        assert_eq!(FR.plain().percent(1, 3), "33,3 %");
        for (ms, expected) in [
            (0, "0 s"),
            (449, "0,4 s"),
            (9_960, "10 s"),
            (59_999, "59 s"),
            (60_000, "1 min 00 s"),
            (3_780_000, "1 h 03 min"),
            (183_600_000, "2 j 3 h"),
        ] {
            assert_eq!(FR.plain().duration(ms), expected, "{ms}");
        }
        assert_eq!(FR.plain().rate(12_300_000), "12,3 Mo/s");
    }
}
