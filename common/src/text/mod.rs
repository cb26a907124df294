//! What people read, in French and in English: Fluent messages, numbers, sizes, durations, dates, names of files.
//!
//! Messages live in `common/locales/{fr,en}/*.ftl`, written with ordinary spaces; French ones get their no-break spaces here, or
//! keep ordinary ones where the output is no UTF-8 terminal. Numbers and dates are a small module of our own, checked against a
//! table of CLDR values: Fluent does not format numbers, and ICU4X has no stable units or relative dates, which leaves it the
//! grouping of digits. This module does not choose the language, look at the terminal or read a clock.
//!
//! Invariant: both languages have the same keys with the same variables, and every key is used (tests below).

use std::borrow::Cow;
use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

pub mod date;
pub mod name;
pub mod number;

/// A language that people can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// The default.
    French,
    /// The other one.
    English,
}

impl Lang {
    /// The language that a setting or a locale names (`fr`, `en_GB.UTF-8`); `None` for any other.
    pub fn named(text: &str) -> Option<Self> {
        match text.split(['_', '-', '.', '@']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "fr" | "français" | "francais" => Some(Self::French),
            "en" | "english" => Some(Self::English),
            _ => None,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::French => 0,
            Self::English => 1,
        }
    }
}

/// Which spaces stand inside numbers and before French punctuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spaces {
    /// No-break ones, U+202F and U+00A0: a terminal or page in UTF-8.
    Typographic,
    /// Ordinary ones: files, pipes, other encodings.
    Plain,
}

/// A language and its spaces; every text comes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Texts {
    /// The language.
    pub lang: Lang,
    /// The spaces.
    pub spaces: Spaces,
}

/// A value that a message shows.
#[derive(Debug, Clone)]
pub enum Arg<'a> {
    /// Shown as it is.
    Text(Cow<'a, str>),
    /// Shown as a number, and decides the plural (`PLURAL($count)`).
    Count(u64),
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Arg<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u64> for Arg<'_> {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl Texts {
    /// French for a terminal.
    pub const FRENCH: Self = Self { lang: Lang::French, spaces: Spaces::Typographic };
    /// English for a terminal.
    pub const ENGLISH: Self = Self { lang: Lang::English, spaces: Spaces::Typographic };

    /// The same language with ordinary spaces.
    pub const fn plain(self) -> Self {
        Self { spaces: Spaces::Plain, ..self }
    }

    /// True if there is a message under `key`.
    pub fn has(self, key: &str) -> bool {
        self.bundle().has_message(key)
    }

    /// The message under `key`.
    pub fn say(self, key: &str) -> String {
        self.say_with(key, &[])
    }

    /// The message under `key` with its variables; the key itself if there is no such message.
    pub fn say_with(self, key: &str, args: &[(&str, Arg<'_>)]) -> String {
        let bundle = self.bundle();
        let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
            debug_assert!(false, "no message {key}");
            return key.to_owned();
        };
        let mut values = FluentArgs::with_capacity(args.len() * 2);
        for (name, arg) in args {
            match arg {
                Arg::Text(text) => values.set(*name, text.as_ref()),
                Arg::Count(count) => values.set(*name, *count),
            }
        }
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(&values), &mut errors);
        debug_assert!(errors.is_empty(), "message {key}: {errors:?}");
        text.into_owned()
    }

    /// The message of an error code (`not-found`) with the parameters that came with it; absent ones read `none`.
    pub fn error(self, code: &str, params: &[(String, String)]) -> String {
        let args: Vec<(&str, Arg<'_>)> = ERROR_PARAMS
            .iter()
            .map(|name| {
                let value = params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
                (*name, value.map_or(Arg::from("none"), |value| self.error_param(name, value)))
            })
            .collect();
        self.say_with(&format!("error-{code}"), &args)
    }

    fn error_param<'a>(self, name: &str, value: &'a str) -> Arg<'a> {
        match (name, value.parse::<u64>()) {
            (_, Ok(bytes)) if name.ends_with("_bytes") => self.size(bytes).into(),
            (_, Ok(seconds)) if name.ends_with("_s") => self.duration(seconds.saturating_mul(1_000)).into(),
            ("since" | "until", _) => match (value.parse(), value.parse()) {
                (Ok(at), _) => self.date(at).into(),
                (_, Ok(day)) => self.day(day).into(),
                _ => value.into(),
            },
            _ => value.into(),
        }
    }

    fn bundle(self) -> &'static FluentBundle<FluentResource> {
        static BUNDLES: [OnceLock<FluentBundle<FluentResource>>; 4] = [const { OnceLock::new() }; 4];
        let spaces = usize::from(self.spaces == Spaces::Plain);
        BUNDLES[self.lang.index() * 2 + spaces].get_or_init(|| self.load())
    }

    fn load(self) -> FluentBundle<FluentResource> {
        let language = match self.lang {
            Lang::French => unic_langid::langid!("fr"),
            Lang::English => unic_langid::langid!("en"),
        };
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        bundle.set_use_isolating(false);
        for (_, source) in SOURCES[self.lang.index()] {
            let resource = FluentResource::try_new((*source).to_owned()).unwrap_or_else(|(resource, errors)| {
                debug_assert!(errors.is_empty(), "{errors:?}");
                resource
            });
            bundle.add_resource_overriding(resource);
        }
        // A bundle takes plain functions, so each combination has its own.
        match (self.lang, self.spaces) {
            (Lang::French, Spaces::Typographic) => {
                bundle.set_transform(Some(french_spaces));
                bundle.set_formatter(Some(|value, _| shown(value, Self::FRENCH)));
            }
            (Lang::French, Spaces::Plain) => bundle.set_formatter(Some(|value, _| shown(value, Self::FRENCH.plain()))),
            (Lang::English, _) => bundle.set_formatter(Some(|value, _| shown(value, Self::ENGLISH))),
        }
        let plural: fn(u64) -> &'static str = match self.lang {
            Lang::French => number::french_plural,
            Lang::English => number::english_plural,
        };
        bundle
            .add_function("PLURAL", move |values, _| match values {
                [FluentValue::Number(number)] => plural(number.into()).into(),
                _ => FluentValue::Error,
            })
            .expect("a bundle has no function of that name yet");
        bundle
    }
}

/// Numbers inside messages, as the language writes counts.
fn shown(value: &FluentValue<'_>, texts: Texts) -> Option<String> {
    match value {
        FluentValue::Number(number) => Some(texts.count(number.into())),
        _ => None,
    }
}

/// No-break spaces before high punctuation and inside guillemets.
fn french_spaces(text: &str) -> Cow<'_, str> {
    const PAIRS: [(&str, &str); 6] = [
        (" ;", "\u{202f};"),
        (" !", "\u{202f}!"),
        (" ?", "\u{202f}?"),
        (" :", "\u{a0}:"),
        ("« ", "«\u{a0}"),
        (" »", "\u{a0}»"),
    ];
    PAIRS.iter().fold(Cow::Borrowed(text), |text, (plain, right)| {
        if text.contains(plain) { Cow::Owned(text.replace(plain, right)) } else { text }
    })
}

/// Every parameter that `types.proto` names for an error code.
const ERROR_PARAMS: [&str; 19] = [
    "field",
    "reason",
    "retry_s",
    "role",
    "what",
    "source",
    "limit",
    "used_bytes",
    "allowed_bytes",
    "since",
    "contact",
    "until",
    "min",
    "max",
    "location",
    "object",
    "number",
    "version",
    "name",
];

type Sources = [(&'static str, &'static str); 11];

macro_rules! sources {
    ($folder:literal) => {
        [
            ("admin.ftl", include_str!(concat!("../../locales/", $folder, "/admin.ftl"))),
            ("alarm.ftl", include_str!(concat!("../../locales/", $folder, "/alarm.ftl"))),
            ("agent.ftl", include_str!(concat!("../../locales/", $folder, "/agent.ftl"))),
            ("contract.ftl", include_str!(concat!("../../locales/", $folder, "/contract.ftl"))),
            ("errors.ftl", include_str!(concat!("../../locales/", $folder, "/errors.ftl"))),
            ("formats.ftl", include_str!(concat!("../../locales/", $folder, "/formats.ftl"))),
            ("help.ftl", include_str!(concat!("../../locales/", $folder, "/help.ftl"))),
            ("quota.ftl", include_str!(concat!("../../locales/", $folder, "/quota.ftl"))),
            ("server.ftl", include_str!(concat!("../../locales/", $folder, "/server.ftl"))),
            ("service.ftl", include_str!(concat!("../../locales/", $folder, "/service.ftl"))),
            ("upkeep.ftl", include_str!(concat!("../../locales/", $folder, "/upkeep.ftl"))),
        ]
    };
}

const SOURCES: [&Sources; 2] = [&sources!("fr"), &sources!("en")];

#[cfg(test)]
mod tests;
