//! Tests of the messages: both languages complete, every key used, every used key there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;

/// Keys that are put together at run time; each family has a test of its own where it is used.
const FAMILIES: &[&str] = &[
    "admin-head-",
    "alarm-",
    "annex-part-",
    "annex-policy-",
    "approval-kind-",
    "approval-state-",
    "check-file-",
    "consent-means-",
    "error-",
    "help-",
    "hold-signal-",
    "key-mode-",
    "order-state-",
    "policy-",
    "problem-",
    "pruning-stop-",
    "quota-cause-",
    "quota-outcome-",
    "quota-state-",
    "relocation-state-",
    "retention-reason-",
    "role-",
    "run-result-",
    "server-head-",
    "skip-reason-",
    "source-kind-",
    "subscription-state-",
    "suspension-reason-",
    "thinning-",
    "upkeep-count-",
    "upkeep-job-",
    "upkeep-object-",
];

/// Key → variables, as written in the files of a language.
fn keys(lang: Lang) -> BTreeMap<String, BTreeSet<String>> {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, source) in SOURCES[lang.index()] {
        let mut key = String::new();
        for line in source.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, _)) =
                line.split_once(" =").filter(|_| line.starts_with(|c: char| c.is_ascii_lowercase()))
            {
                key = name.to_owned();
                assert!(keys.insert(key.clone(), BTreeSet::new()).is_none(), "{file}: {key} stands there twice");
            }
            let variables = line
                .split('$')
                .skip(1)
                .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>());
            if let Some(known) = keys.get_mut(&key) {
                known.extend(variables);
            }
        }
    }
    keys
}

/// Every source file of the workspace.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["agent", "benches", "common", "proto", "server"]
        .iter()
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("text/tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    files
}

#[test]
fn both_languages_have_the_same_keys_with_the_same_variables() {
    let (french, english) = (keys(Lang::French), keys(Lang::English));
    assert!(french.len() > 30);
    for (key, variables) in &french {
        assert_eq!(english.get(key), Some(variables), "{key}");
    }
    assert_eq!(french.keys().collect::<Vec<_>>(), english.keys().collect::<Vec<_>>());
}

#[test]
fn every_file_parses() {
    for (file, source) in SOURCES.into_iter().flatten() {
        if let Err((_, errors)) = FluentResource::try_new((*source).to_owned()) {
            panic!("{file}: {errors:?}");
        }
    }
    for lang in [Lang::French, Lang::English] {
        let texts = Texts { lang, spaces: Spaces::Plain };
        for key in keys(lang).keys() {
            assert!(texts.has(key), "{key}");
        }
    }
}

#[test]
fn every_key_is_used_and_every_used_key_is_there() {
    let (keys, sources) = (keys(Lang::French), sources());
    for key in keys.keys().filter(|key| !FAMILIES.iter().any(|family| key.starts_with(family))) {
        let quoted = format!("\"{key}\"");
        assert!(sources.iter().any(|(_, text)| text.contains(&quoted)), "{key} is used nowhere");
    }
    for (path, text) in &sources {
        for call in [".say(", ".say_with(", ".counted(", ".ask(", ".secret(", "::new(Exit::"] {
            for rest in text.split(call).skip(1) {
                let rest = if call.ends_with(':') { rest.trim_start_matches(char::is_alphanumeric) } else { rest };
                let quoted = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace()).strip_prefix('"');
                let Some(key) = quoted.and_then(|rest| rest.split('"').next()) else { continue };
                assert!(keys.contains_key(key), "{}: no message {key}", path.display());
            }
        }
    }
}

#[test]
fn plurals_follow_each_language() {
    let check = |count, french: &str, english: &str| {
        assert_eq!(Texts::FRENCH.counted("count-files", count), french);
        assert_eq!(Texts::ENGLISH.counted("count-files", count), english);
    };
    check(0, "0 fichier", "0 files");
    check(1, "1 fichier", "1 file");
    check(2, "2 fichiers", "2 files");
    check(78_579, "78\u{202f}579 fichiers", "78,579 files");
    check(1_000_000, "1 million de fichiers", "1 million files");
    check(3_000_000, "3 millions de fichiers", "3 million files");
    assert_eq!(Texts::FRENCH.plain().counted("count-files", 78_579), "78 579 fichiers");
}

#[test]
fn french_punctuation_gets_its_no_break_spaces_and_arguments_are_left_alone() {
    let param = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let text = Texts::FRENCH.error("source-not-contracted", &[param("source", "a ; b")]);
    assert!(text.starts_with("La source «\u{a0}a ; b\u{a0}» ne figure pas"), "{text}");
    let plain = Texts::FRENCH.plain().error("source-not-contracted", &[param("source", "a\u{a0}b")]);
    assert!(plain.starts_with("La source « a\u{a0}b » ne figure pas"), "{plain}");
}

#[test]
fn parameters_of_errors_are_shown_as_sizes_durations_and_dates() {
    let params = [
        ("limit", "day"),
        ("used_bytes", "2000001"),
        ("allowed_bytes", "2000000"),
        ("since", "2026-11-22T02:05:00Z"),
        ("contact", "01 02 03 04 05"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let retry = [("retry_s".to_owned(), "90".to_owned())];
    let shown: Vec<String> = [Texts::FRENCH.plain(), Texts::ENGLISH]
        .into_iter()
        .flat_map(|texts| {
            [
                texts.error("quota-exceeded", &params),
                texts.error("quota-exceeded", &[]),
                texts.error("overloaded", &retry),
                texts.error("too-many-attempts", &retry),
                texts.error("too-many-attempts", &[]),
            ]
        })
        .collect();
    insta::assert_snapshot!("errors", shown.join("\n"));
}

#[test]
fn a_locale_names_its_language() {
    for (text, expected) in [
        ("fr_FR.UTF-8", Some(Lang::French)),
        ("FR", Some(Lang::French)),
        ("en_GB", Some(Lang::English)),
        ("en-US", Some(Lang::English)),
        ("C", None),
        ("", None),
    ] {
        assert_eq!(Lang::named(text), expected, "{text}");
    }
}
