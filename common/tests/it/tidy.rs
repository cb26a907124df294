//! Rules of the house that a program can keep, checked over the whole source tree.
//!
//! What the compiler, clippy or `cargo deny` already refuse is not repeated here. Each rule is a function from the tree to the list of
//! what breaks it, so that every rule is also tested against a tree that breaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files by path from the root of the workspace, with `/` between components.
type Tree = BTreeMap<String, String>;

/// Production lines that no file may exceed.
const LINES_CAP: usize = 500;
/// Production lines that nine files in ten stay within.
const LINES_NORMAL: usize = 350;
/// Production lines that half of the files stay within.
const LINES_MEDIAN: usize = 150;

/// Where each crate with a border may be named (I7). A path that ends in `/` is a folder.
const HOMES: &[(&str, &[&str])] = &[
    (
        "tonic",
        &[
            "proto/",
            "agent/src/remote/",
            "server/src/grpc/",
            "server/src/auth/",
            "server/src/admin/",
            "server/src/app.rs",
        ],
    ),
    ("aws_lc_rs", &["common/src/", "agent/src/remote/", "agent/src/cli/context.rs", "server/src/"]),
    ("rusqlite", &["server/src/catalog/", "server/src/control/"]),
    ("object_store", &["server/src/store/objects.rs"]),
    ("fastcdc", &["agent/src/backup/split.rs"]),
    ("age", &["common/src/envelope.rs", "common/src/keyring/"]),
];

/// The drawing of architecture.md: what each crate of the workspace may depend on, then what its tests may.
const DRAWING: &[(&str, &[&str], &[&str])] = &[
    ("common", &[], &[]),
    ("proto", &["common"], &[]),
    ("agent", &["common", "proto"], &["server"]),
    ("server", &["common", "proto"], &[]),
    ("benches", &["common", "proto", "agent", "server"], &[]),
];

/// Crates that nobody may depend on directly.
const BANNED: &[&str] = &[
    "async-trait",
    "chrono",
    "diesel",
    "lazy_static",
    "native-tls",
    "once_cell",
    "openssl",
    "ring",
    "sea-orm",
    "sha2",
    "sqlx",
];

/// Names that say nothing about what a module is.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "misc", "prelude", "part2"];

/// Words that have no place in committed code.
const BANNED_WORDS: &[&str] = &["TODO", "FIXME", "XXX", "#[ignore"];

/// Invariants of architecture.md.
const INVARIANTS: u32 = 12;

#[test]
fn the_tree_keeps_the_rules_of_the_house() {
    let tree = source_tree();
    let rules: &[fn(&Tree) -> Vec<String>] = &[
        headers,
        sizes,
        homes,
        drawing,
        banned_crates,
        banned_words,
        empty_names,
        lints,
        locales,
        reasons,
        invariants,
        example_keys,
    ];
    let broken: Vec<String> = rules.iter().flat_map(|rule| rule(&tree)).collect();
    assert!(broken.is_empty(), "{} rules broken:\n{}", broken.len(), broken.join("\n"));
}

/// Every file that the rules look at.
fn source_tree() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let mut tree = Tree::new();
    let mut folders: Vec<PathBuf> =
        ["common", "proto", "agent", "server", "benches", "deploy"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| ["rs", "toml", "ftl", "proto"].iter().any(|known| end == *known))
            {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                tree.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(tree.len() > 40, "the tidy test sees only {} files", tree.len());
    tree
}

fn rust(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    tree.iter().filter(|(path, _)| path.ends_with(".rs"))
}

/// Source of the product, tests and benches aside.
fn production(tree: &Tree) -> impl Iterator<Item = (&String, &str)> {
    let of_product = |path: &str| {
        path.contains("/src/")
            && !path.starts_with("benches/")
            && !path.ends_with("/tests.rs")
            && !path.contains("/tests/")
    };
    rust(tree).filter(move |(path, _)| of_product(path)).map(|(path, text)| (path, without_tests(text)))
}

/// The part of a file above its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// Code without comments, so that prose may name anything.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn headers(tree: &Tree) -> Vec<String> {
    rust(tree)
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| format!("{path}: does not open with `//!`"))
        .collect()
}

fn sizes(tree: &Tree) -> Vec<String> {
    let mut lines: Vec<(usize, &String)> = production(tree).map(|(path, text)| (text.lines().count(), path)).collect();
    lines.sort();
    let mut broken: Vec<String> = lines
        .iter()
        .filter(|(count, _)| *count > LINES_CAP)
        .map(|(count, path)| format!("{path}: {count} production lines, over {LINES_CAP}"))
        .collect();
    for (share, limit) in [(5, LINES_MEDIAN), (9, LINES_NORMAL)] {
        if let Some((count, path)) = lines.get(lines.len() * share / 10).filter(|(count, _)| *count > limit) {
            broken.push(format!("{path}: {count} lines, but {share} files in 10 stay within {limit}"));
        }
    }
    broken
}

fn homes(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, places) in HOMES {
        let at_home =
            |path: &str| places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)));
        for (path, text) in production(tree).filter(|(path, _)| !at_home(path)) {
            if code_lines(text).any(|line| names_crate(line, name)) {
                broken.push(format!("{path}: names {name}, whose home is {}", places.join(", ")));
            }
        }
    }
    broken
}

/// True if a line of code has the path `name::`, not as the end of a longer word or path.
fn names_crate(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':'))
}

/// Dependencies that a manifest names, with the kind of section: `dependencies`, `dev-dependencies`, `build-dependencies`.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in manifest.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if section.ends_with("dependencies") {
            let name: String = line.chars().take_while(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect();
            if !name.is_empty() {
                found.push((section.rsplit('.').next().unwrap_or_default().to_owned(), name));
            }
        }
    }
    found
}

fn drawing(tree: &Tree) -> Vec<String> {
    let members: BTreeSet<&str> = DRAWING.iter().map(|(member, _, _)| *member).collect();
    let mut broken = Vec::new();
    for (member, normal, tests) in DRAWING {
        let manifest = tree.get(&format!("{member}/Cargo.toml")).map_or("", String::as_str);
        for (section, name) in dependencies(manifest).iter().filter(|(_, name)| members.contains(name.as_str())) {
            let allowed =
                normal.contains(&name.as_str()) || section == "dev-dependencies" && tests.contains(&name.as_str());
            if !allowed {
                broken.push(format!("{member}/Cargo.toml: {section} has {name}, which the drawing does not"));
            }
        }
    }
    broken
}

fn banned_crates(tree: &Tree) -> Vec<String> {
    tree.iter()
        .filter(|(path, _)| path.ends_with("Cargo.toml"))
        .flat_map(|(path, text)| dependencies(text).into_iter().map(move |(_, name)| (path, name)))
        .filter(|(_, name)| BANNED.contains(&name.as_str()))
        .map(|(path, name)| format!("{path}: depends on {name}"))
        .collect()
}

fn banned_words(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, text) in rust(tree).filter(|(path, _)| !path.ends_with("tests/it/tidy.rs")) {
        for word in BANNED_WORDS.iter().filter(|word| text.contains(**word)) {
            broken.push(format!("{path}: has {word}"));
        }
    }
    broken
}

fn empty_names(tree: &Tree) -> Vec<String> {
    rust(tree)
        .filter(|(path, _)| path.trim_end_matches(".rs").split('/').any(|part| EMPTY_NAMES.contains(&part)))
        .map(|(path, _)| format!("{path}: a name that says nothing"))
        .collect()
}

fn lints(tree: &Tree) -> Vec<String> {
    tree.iter()
        .filter(|(path, text)| path.ends_with("Cargo.toml") && !text.contains("[lints]\nworkspace = true"))
        .map(|(path, _)| format!("{path}: does not take the lints of the workspace"))
        .collect()
}

/// Messages of a Fluent file, each with the variables that it uses.
fn messages(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            current = line.split(' ').next().unwrap_or_default().to_owned();
            found.insert(current.clone(), BTreeSet::new());
        }
        for part in line.split('$').skip(1) {
            let variable: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect();
            found.entry(current.clone()).or_default().insert(variable);
        }
    }
    found
}

fn locales(tree: &Tree) -> Vec<String> {
    let folder = |language: &str| -> BTreeMap<String, BTreeSet<String>> {
        let prefix = format!("common/locales/{language}/");
        tree.iter().filter(|(path, _)| path.starts_with(&prefix)).flat_map(|(_, text)| messages(text)).collect()
    };
    let (french, english) = (folder("fr"), folder("en"));
    let keys: BTreeSet<&String> = french.keys().chain(english.keys()).collect();
    keys.into_iter()
        .filter(|key| french.get(*key) != english.get(*key))
        .map(|key| format!("common/locales: {key} is missing in a language or has other variables there"))
        .collect()
}

/// Each reason for which the server refuses a value is told in words in both languages.
fn reasons(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, text) in production(tree).filter(|(path, _)| path.starts_with("server/src/grpc/")) {
        for call in code_lines(text).flat_map(|line| line.split("status::invalid(").skip(1)) {
            let Some(reason) = call.split(')').next().and_then(|inside| inside.split(", ").nth(1)) else { continue };
            let Some(word) = reason.strip_prefix('"').and_then(|word| word.strip_suffix('"')) else { continue };
            let unsaid = |language: &str| {
                let errors = tree.get(&format!("common/locales/{language}/errors.ftl"));
                !errors.is_some_and(|errors| errors.contains(&format!("    [{word}] ")))
            };
            if unsaid("fr") || unsaid("en") {
                broken.push(format!("{path}: the reason {word} has no words in errors.ftl"));
            }
        }
    }
    broken
}

fn invariants(tree: &Tree) -> Vec<String> {
    (1..=INVARIANTS)
        .map(|number| format!("Invariant: I{number} "))
        .filter(|mark| !rust(tree).any(|(path, text)| path.contains("/src/") && text.contains(mark.as_str())))
        .map(|mark| format!("no module says `{}`", mark.trim()))
        .collect()
}

/// Each configuration has an example that names all of its keys: the fields of the structures in `config.rs`.
fn example_keys(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for program in ["agent", "server"] {
        let fields = config_fields(tree.get(&format!("{program}/src/config.rs")).map_or("", String::as_str));
        let example = tree.get(&format!("{program}/{program}.toml")).map_or("", String::as_str);
        for field in fields.iter().filter(|field| !names_key(example, field)) {
            broken.push(format!("{program}/{program}.toml: does not name the key {field}"));
        }
    }
    broken
}

/// Fields of the structures of a configuration module that are read from TOML.
fn config_fields(module: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut read_from_toml = false;
    for line in without_tests(module).lines() {
        if line.starts_with("#[derive(") {
            read_from_toml = line.contains("Deserialize");
        } else if line == "}" {
            read_from_toml = false;
        } else if let Some((field, _)) = line.strip_prefix("    ").and_then(|rest| rest.split_once(':')) {
            let field = field.strip_prefix("pub ").unwrap_or(field);
            if read_from_toml && field.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                found.push(field.to_owned());
            }
        }
    }
    found
}

/// True if a line of the example sets `key`, is commented out for it, or opens the table of that name.
fn names_key(example: &str, key: &str) -> bool {
    example.lines().map(|line| line.trim_start_matches(['#', ' '])).any(|line| {
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
            || line.trim_start_matches('[').split([']', '.']).any(|table| line.starts_with('[') && table == key)
    })
}

fn tree_of(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn each_rule_sees_what_breaks_it() {
    type Rule = fn(&Tree) -> Vec<String>;
    let long = "//! x\n".to_owned() + &"fn f() {}\n".repeat(LINES_CAP);
    let rows: &[(Rule, &str, &str)] = &[
        (headers, "agent/src/a.rs", "use x;\n"),
        (sizes, "agent/src/a.rs", &long),
        (homes, "agent/src/cli/a.rs", "use tonic::Status;\n"),
        (homes, "server/src/session/a.rs", "fn f(c: &rusqlite::Connection) {}\n"),
        (drawing, "agent/Cargo.toml", "[dependencies]\nserver.workspace = true\n"),
        (drawing, "common/Cargo.toml", "[dev-dependencies]\nproto = { path = \"../proto\" }\n"),
        (banned_crates, "agent/Cargo.toml", "[dependencies]\nchrono = \"1\"\n"),
        (banned_words, "agent/src/a.rs", "// TODO\n"),
        (banned_words, "agent/tests/it/a.rs", "#[ignore = \"slow\"]\n"),
        (empty_names, "agent/src/utils/mod.rs", ""),
        (lints, "agent/Cargo.toml", "[package]\n"),
        (locales, "common/locales/fr/a.ftl", "only-french = bonjour\n"),
        (reasons, "server/src/grpc/a.rs", "fn f() {\n    status::invalid(\"x\", \"y\");\n}\n"),
        (invariants, "agent/src/a.rs", "//! Invariant: I1 — x\n"),
        (example_keys, "server/src/config.rs", "#[derive(Deserialize)]\npub struct C {\n    pub listen: String,\n}\n"),
    ];
    for (rule, path, text) in rows {
        assert!(!rule(&tree_of(&[(path, text)])).is_empty(), "nothing seen in {path}: {text:.60}");
    }
}

#[test]
fn no_rule_sees_what_is_not_there() {
    let tree = tree_of(&[
        ("agent/src/remote/mod.rs", "//! Calls.\nuse tonic::Status;\n"),
        (
            "agent/src/cli/a.rs",
            "//! tonic::Status is not here.\nuse proto::tonic_less::A;\n#[cfg(test)]\nmod tests {}\n",
        ),
        (
            "agent/Cargo.toml",
            "[lints]\nworkspace = true\n\n[dependencies]\ncommon.workspace = true\n\n[dev-dependencies]\nserver.workspace = true\n",
        ),
        ("common/locales/fr/a.ftl", "# commentaire\nkey = { $count } fichiers\n"),
        (
            "common/locales/en/a.ftl",
            "key =\n    { $count ->\n        [one] a file\n       *[other] { $count } files\n    }\n",
        ),
        (
            "server/src/config.rs",
            "//! x\n#[derive(Deserialize)]\npub struct C {\n    pub listen: String,\n    pub location: L,\n}\n",
        ),
        ("server/server.toml", "# listen = \"[::]:7443\"\n[location]\n"),
    ]);
    let rules: &[fn(&Tree) -> Vec<String>] = &[
        headers,
        sizes,
        homes,
        drawing,
        banned_crates,
        banned_words,
        empty_names,
        lints,
        locales,
        reasons,
        example_keys,
    ];
    for rule in rules {
        assert_eq!(rule(&tree), Vec::<String>::new());
    }
}
