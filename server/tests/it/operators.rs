//! Every command of `dobaas-admin`, by the real program against a real server: tables and `--json`, French and English.
//!
//! [`ROWS`] has at least one row for each command that the command line knows; one without a row fails. Numbers and ids that a row
//! needs are made by the rows before it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bytes::Bytes;
use common::id::{AgentId, ScopeId, SourceId, SubscriptionId};
use common::text::Texts;
use jiff::ToSpan;
use proto::v1;
use server::admin::command;

use crate::harness::{Client, GOOD_PASSWORD, OTHER_PASSWORD, TestServer};
use crate::honest::Agent;
use crate::line;

/// What a row's output is compared as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// The first lines, with volatile parts replaced.
    Lines,
    /// The first line only: the rest is never twice the same.
    Head,
    /// Nothing but that it worked.
    Nothing,
}

use Kept::{Head, Lines, Nothing};

/// How a row ends.
const DONE: i32 = 0;
const REFUSED: i32 = 1;
const NOT_LOGGED_IN: i32 = 10;

/// Most lines of an output that are kept.
const LINES_MAX: usize = 16;

/// Who types it (0: the first operator, 1: the second), how it ends, what is kept, and the command. `@x` stands for what
/// [`Desk::known`] says of it; `%` for the number of the round.
const ROWS: &[(usize, i32, Kept, &str)] = &[
    (0, DONE, Lines, "customer create C-% 'Menuiserie Duval'"),
    (0, REFUSED, Lines, "customer create C-% 'Menuiserie Duval'"),
    (0, DONE, Head, "customer list"),
    (
        0,
        DONE,
        Head,
        "subscription create BC-% --customer C-% --volume 500Go --history 30 --source files:bureautique \
         --price 'Forfait=49,90/mois' --contact '01 02 03 04 05' --signed 2026-01-15",
    ),
    (
        0,
        DONE,
        Head,
        "order-form create BD-% --customer C-% --volume 1,5To --history 90 --source files:a --source mysql:b",
    ),
    (0, DONE, Lines, "subscription list --customer C-%"),
    (0, DONE, Lines, "subscription show BC-%"),
    (0, DONE, Lines, "order-form show BD-%"),
    (0, DONE, Head, "account create anna-% --subscription BC-% --role admin"),
    (0, DONE, Head, "account reset-password anna-% --check-method rappel --check-reference 12"),
    (0, DONE, Lines, "account list --subscription BC-%"),
    (0, DONE, Lines, "account networks bruno 127.0.0.0/8 192.0.2.0/24"),
    (0, DONE, Lines, "account networks bruno --anywhere"),
    (0, DONE, Lines, "account end anna-% --reason 'a quitté la société'"),
    (0, REFUSED, Lines, "account end admin --reason départ"),
    (0, DONE, Lines, "account reopen anna-% --reason erreur --until 2099-12-31"),
    (0, DONE, Lines, "account end anna-% --reason 'fin de mission' --after 2099-06-30"),
    (0, DONE, Lines, "account reopen anna-% --reason prolongation"),
    (0, DONE, Nothing, "agent token BC-%"),
    (0, DONE, Head, "agent list BC-%"),
    (0, DONE, Lines, "agent allow-restore BC-% @agent"),
    (0, DONE, Lines, "agent forbid-restore BC-% @agent"),
    (0, DONE, Lines, "relocation consent BC-% --country BE --means letter --received 2026-01-20 --document 'Lettre 7'"),
    (
        0,
        REFUSED,
        Lines,
        "relocation move BC-% --site Berne --country CH --owner provider --on 2099-01-01 --confirm BC-%",
    ),
    (0, DONE, Lines, "relocation move BC-% --site Namur --country BE --owner provider --on 2099-01-01 --confirm BC-%"),
    (0, DONE, Lines, "relocation list BC-%"),
    (0, DONE, Lines, "suspend BC-% --reason unpaid --detail 'facture 7' --untold-because retour --confirm BC-%"),
    (0, DONE, Lines, "suspensions --subscription BC-%"),
    (0, DONE, Lines, "resume @suspension"),
    (
        0,
        DONE,
        Lines,
        "maintenance announce --subscription BC-% --from @next-month --until @after-next-month --detail disques",
    ),
    (0, DONE, Head, "maintenance list"),
    (0, DONE, Lines, "maintenance end @maintenance"),
    (0, DONE, Lines, "order-form amend BC-% --price 'Forfait=59,90/mois' --document A-1 --document-signed 2026-01-16"),
    (
        0,
        DONE,
        Lines,
        "order-form amend BC-% --thinning week:20 --document A-2 --document-signed 2026-01-16 --confirm BC-%",
    ),
    (
        0,
        DONE,
        Lines,
        "order-form amend BC-% --volume 600Go --document A-3 --document-signed 2026-01-16 --applies 2099-01-01",
    ),
    (0, DONE, Lines, "order-form history BC-%"),
    (0, DONE, Lines, "order-form withdraw @amendment"),
    (0, DONE, Head, "order-form print BC-%"),
    (0, DONE, Lines, "order-form print BC-% --text"),
    (0, DONE, Lines, "approval propose prune_override BC-% --detail 'lettre 9' --confirm BC-%"),
    (0, REFUSED, Lines, "approval approve @approval --confirm BC-%"),
    (1, DONE, Lines, "approval approve @approval --confirm BC-%"),
    (0, DONE, Lines, "approval list --subscription BC-%"),
    (1, DONE, Lines, "approval withdraw @approval"),
    (0, DONE, Lines, "hold list BC-%"),
    (0, REFUSED, Lines, "hold lift BC-% --confirm BC-%"),
    (0, DONE, Lines, "protect BC-% @snapshot --until @next-year --reason litige"),
    (0, DONE, Head, "protections BC-%"),
    (0, DONE, Head, "retention preview BC-%"),
    (0, DONE, Nothing, "upkeep status BC-%"),
    (0, DONE, Lines, "upkeep run expire BC-%"),
    (0, DONE, Lines, "upkeep pause BC-%"),
    (0, DONE, Lines, "upkeep resume BC-%"),
    (0, DONE, Nothing, "upkeep stop BC-%"),
    (0, DONE, Lines, "upkeep allow BC-% --reason vérifié"),
    (0, DONE, Nothing, "upkeep damage BC-%"),
    (0, DONE, Head, "quota list"),
    (0, DONE, Lines, "quota list --over --above 80 --sort rate"),
    (0, DONE, Nothing, "quota show BC-%"),
    (0, DONE, Lines, "report BC-%"),
    (0, DONE, Head, "report BC-% --csv"),
    (0, DONE, Lines, "reevaluation list --subscription BC-%"),
    (0, REFUSED, Lines, "reevaluation show 999"),
    (0, REFUSED, Lines, "reevaluation close 999 --outcome amended"),
    (0, DONE, Nothing, "alarm list"),
    (0, DONE, Nothing, "alarm test"),
    (0, DONE, Nothing, "audit list --subscription BC-% --limit 2"),
    (0, DONE, Nothing, "audit verify"),
    (0, DONE, Nothing, "audit extract --subscription BC-%"),
    (0, DONE, Head, "audit extract --subscription BC-% --format csv"),
    (0, DONE, Lines, "subscription end BC-% --document 'lettre 10' --received @today --early --confirm BC-%"),
    (0, DONE, Lines, "subscription end BC-% --document 'lettre 11' --cancel --confirm BC-%"),
    (0, DONE, Lines, "agent revoke BC-% @agent --confirm BC-%"),
    (0, DONE, Nothing, "completions bash"),
    (0, DONE, Lines, "logout"),
    (0, NOT_LOGGED_IN, Lines, "customer list"),
];

/// A file name of the customer.
const MARKER: &str = "zqx-dossier-medical";

const THIRD_PASSWORD: &str = "agrafe muguet detour 43";

/// Commands that rows cannot have: typed before them, with what only one of them knows.
const ELSEWHERE: [&str; 3] = ["login", "password", "unprotect"];

/// Commands that need what nothing of this test makes, a file or a hold: their refusal is the row, other tests end them well.
const REFUSED_HERE: [&str; 3] = ["hold lift", "reevaluation close", "reevaluation show"];

/// Two operators, each with a login kept in a folder.
struct Desk {
    server: TestServer,
    folder: PathBuf,
    round: usize,
    lang: &'static str,
    json: bool,
    agent: String,
    snapshot: String,
}

struct Ran {
    exit: i32,
    out: String,
    err: String,
}

impl Desk {
    fn run(&self, who: usize, words: &[String]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dobaas-admin"));
        command.args(["--lang", self.lang, "--state"]).arg(self.folder.join(format!("{}-{who}", self.round)));
        if self.json {
            command.arg("--json");
        }
        command.args(words).stdin(Stdio::null()).env_clear();
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn login(&self, who: usize, whose: (&str, &str)) {
        self.with_password("login", who, whose, None);
    }

    /// `login`, or `password` with the one to change it into.
    fn with_password(&self, command: &str, who: usize, (identifier, password): (&str, &str), new: Option<&str>) {
        let file = |name: &str, secret: &str| {
            let file = self.folder.join(format!("{identifier}.{name}"));
            std::fs::File::create(&file).unwrap().write_all(secret.as_bytes()).unwrap();
            file.to_str().unwrap().to_owned()
        };
        let server = format!("https://{}", self.server.running.address());
        let words = [command, "--server", &server, "--fingerprint", self.server.running.fingerprint(), "--identifier"];
        let (old, new) = (file("password", password), new.map(|new| file("new-password", new)));
        let words = words.into_iter().chain([identifier, "--password-file", &old]);
        let words = words.chain(new.iter().flat_map(|new| ["--new-password-file", new]));
        let ran = self.run(who, &words.map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(ran.exit, DONE, "{}{}", ran.out, ran.err);
        assert!(self.json == serde_json::from_str::<serde_json::Value>(&ran.out).is_ok(), "{}", ran.out);
        assert!(!ran.out.contains(password), "{}", ran.out);
    }

    /// What `@x` stands for.
    fn known(&self, name: &str) -> String {
        let control = self.server.running.control();
        let id = control.subscription_by_reference(&format!("BC-{}", self.round)).unwrap().unwrap().subscription;
        let today = jiff::Zoned::now().date();
        match name {
            "today" => today.to_string(),
            "next-month" => today.saturating_add(1.month()).to_string(),
            "after-next-month" => today.saturating_add(1.month()).saturating_add(1.day()).to_string(),
            "next-year" => today.saturating_add(1.year()).to_string(),
            "agent" => self.agent.clone(),
            "snapshot" => self.snapshot.clone(),
            "suspension" => control.suspensions(Some(&id)).unwrap()[0].number.to_string(),
            "maintenance" => control.maintenance(0, true).unwrap().last().unwrap().number.to_string(),
            "amendment" => control.amendments(&id).unwrap()[0].number.to_string(),
            "approval" => control.approvals(Some(&id)).unwrap().iter().map(|a| a.number).max().unwrap().to_string(),
            other => panic!("nothing is known of @{other}"),
        }
    }

    fn words(&self, typed: &str) -> Vec<String> {
        let word = |word: String| match word.strip_prefix('@') {
            Some(name) => self.known(name),
            None => word.replace('%', &self.round.to_string()),
        };
        split(typed).into_iter().map(word).collect()
    }

    /// One row, with the wrong confirmation before the right one.
    fn row(&self, (who, exit, kept, typed): (usize, i32, Kept, &str), log: &mut String) {
        let words = self.words(typed);
        if let Some(at) = words.iter().position(|word| word == "--confirm") {
            let mut wrong = words.clone();
            wrong[at + 1] = "autre".to_owned();
            let ran = self.run(who, &wrong);
            assert_eq!(ran.exit, 2, "{typed}: {}{}", ran.out, ran.err);
            assert!(ran.err.contains("BC-") && !ran.err.contains("autre"), "{typed}: {}", ran.err);
        }
        let ran = self.run(who, &words);
        assert_eq!(ran.exit, exit, "{typed}: {}{}", ran.out, ran.err);
        assert!(!format!("{}{}", ran.out, ran.err).contains(MARKER), "{typed} shows a name of the customer");
        assert!(!ran.out.contains(GOOD_PASSWORD) && !ran.err.contains("panicked"), "{typed}: {}", ran.err);
        let is_document = !words.iter().any(|word| word == "csv") && words[0] != "completions";
        if self.json && exit == DONE && is_document {
            let documents: Vec<serde_json::Value> = ran
                .out
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{typed}: {line}")))
                .collect();
            assert!(!documents.is_empty(), "{typed} printed nothing");
        }
        let lines = match kept {
            Lines => LINES_MAX,
            Head if self.json => 0,
            Head => 1,
            Nothing => return,
        };
        log.push_str(&format!("$ {typed}\n"));
        for line in ran.out.lines().chain(ran.err.lines()).take(lines) {
            log.push_str(&scrubbed(line));
            log.push('\n');
        }
        log.push('\n');
    }

    /// `unprotect`, whose number only `protections` tells.
    fn unprotect(&self) {
        let reference = format!("BC-{}", self.round);
        let listed = Desk::json(self, &["protections", &reference]);
        let text = listed.to_string();
        let id = listed
            .as_array()
            .and_then(|all| all[0]["protection"].as_str().or(all[0]["id"].as_str()))
            .unwrap_or_else(|| panic!("{text}"));
        let typed = ["unprotect", &reference, id, "--reason", "réglé", "--confirm"];
        let words =
            |confirm: &str| typed.iter().map(|word| (*word).to_owned()).chain([confirm.to_owned()]).collect::<Vec<_>>();
        assert_eq!(self.run(0, &words("autre")).exit, 2);
        let ran = self.run(0, &words(&reference));
        assert_eq!(ran.exit, DONE, "{}{}", ran.out, ran.err);
    }

    fn json(desk: &Desk, typed: &[&str]) -> serde_json::Value {
        let mut words: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
        words.push("--json".to_owned());
        // A second --json would be refused.
        if desk.json {
            words.pop();
        }
        let ran = desk.run(0, &words);
        assert_eq!(ran.exit, DONE, "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }
}

/// Words as a shell splits them.
fn split(typed: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in typed.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// A line without what is never twice the same: dates, moments, ids and tokens. Days of 2099, which rows chose, stay.
fn scrubbed(line: &str) -> String {
    let letters: Vec<char> = line.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < letters.len() {
        let rest = &letters[at..];
        let run = |accept: fn(&char) -> bool| rest.iter().take_while(|letter| accept(letter)).count();
        let hex = run(|letter| letter.is_ascii_hexdigit());
        let date = run(|letter| letter.is_ascii_digit() || matches!(letter, '-' | ':' | 'T' | 'Z' | '.' | '/'));
        let text: String = rest[..date].iter().collect();
        let starts_word = at == 0 || !letters[at - 1].is_alphanumeric();
        // Short and whole ids; of a longer or shorter run only a letter tells that it is no number.
        let is_id = matches!(hex, 8 | 32) || hex >= 8 && rest[..hex].iter().any(|letter| letter.is_ascii_alphabetic());
        if starts_word && is_id {
            out.push_str("ID");
            at += hex;
        } else if starts_word && is_date(&text) && !text.contains("2099") {
            out.push_str("DATE");
            at += date;
        } else if starts_word && text.len() >= 5 && text.as_bytes()[2] == b':' {
            out.push_str("TIME");
            at += date;
        } else {
            out.push(letters[at]);
            at += 1;
        }
    }
    out
}

fn is_date(text: &str) -> bool {
    let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    shape.starts_with("0000-00-00") || shape.starts_with("00/00/0000")
}

/// A person's agent with one snapshot; what rows need of both.
async fn machine(server: &TestServer, operator: &Client, round: usize) -> (String, String) {
    let reference = format!("BC-{round}");
    let person = server.member(operator, &format!("claire-{round}"), &reference, v1::Role::Admin).await;
    let request = v1::EnrollRequest { host: "poste".into(), version: "1".into(), ..Default::default() };
    let enrolled = person.enroll(request).await.unwrap();
    let control = server.running.control();
    let source = control.subscription_by_reference(&reference).unwrap().unwrap().sources[0].clone();
    let set = v1::Set {
        source: Bytes::copy_from_slice(source.source.as_bytes()),
        name: source.name,
        kind: v1::SourceKind::Files.into(),
        agent: enrolled.agent.clone(),
        // A name of the customer that no operator may ever see.
        paths: vec![format!("/srv/{MARKER}")],
        ..v1::Set::default()
    };
    let agent = Agent {
        token: enrolled.token,
        agent: AgentId::try_from(&enrolled.agent[..]).unwrap(),
        scope: ScopeId::try_from(&enrolled.scope[..]).unwrap(),
        subscription: SubscriptionId::try_from(&enrolled.subscription[..]).unwrap(),
        source: SourceId::try_from(&source.source.as_bytes()[..]).unwrap(),
        set_version: person.put_set(set).await.unwrap(),
    };
    let root = std::fs::read_to_string(server.folder.path().join("server/identity/root.pem")).unwrap();
    let channel = line::connect(server.running.address().port(), &root).await;
    let stored = agent.back_up(&channel, u8::try_from(round).unwrap(), b"content").await.unwrap();
    (agent.agent.to_string(), stored.session.to_string())
}

/// A second operator with a password of his own.
async fn second(server: &TestServer, operator: &Client) {
    let request = v1::CreateAccountRequest {
        identifier: "bruno".into(),
        role: v1::Role::Admin.into(),
        operator: true,
        ..v1::CreateAccountRequest::default()
    };
    let made = operator.admin().create_account(operator.0.request(request)).await.unwrap().into_inner();
    let client = server.connect().await;
    let login = client.login("bruno", &made.default_password).await.unwrap();
    client.with(&login.token).change_password(&made.default_password, OTHER_PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_works_in_tables_and_json_in_french_and_in_english() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    second(&server, &operator).await;
    let folder = tempfile::tempdir().unwrap();
    let (agent, snapshot) = (String::new(), String::new());
    let mut desk =
        Desk { server, folder: folder.path().to_owned(), round: 0, lang: "fr", json: false, agent, snapshot };
    let rounds = [("fr", false), ("fr", true), ("en", false), ("en", true)];
    for (number, (lang, json)) in (1..).zip(rounds) {
        desk = Desk { round: number, lang, json, ..desk };
        desk.login(0, ("admin", GOOD_PASSWORD));
        desk.with_password("password", 1, ("bruno", OTHER_PASSWORD), Some(THIRD_PASSWORD));
        desk.with_password("password", 1, ("bruno", THIRD_PASSWORD), Some(OTHER_PASSWORD));
        let mut log = String::new();
        for row in ROWS {
            if row.3.starts_with("agent list") {
                let made = machine(&desk.server, &operator, number).await;
                (desk.agent, desk.snapshot) = made;
            }
            if row.3.starts_with("retention preview") {
                desk.unprotect();
            }
            desk.row(*row, &mut log);
        }
        insta::assert_snapshot!(format!("{lang}_{}", if json { "json" } else { "tables" }), log);
    }
}

/// The commands that hold no others, as they are typed.
fn leaves(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
    let mut below = command.get_subcommands().peekable();
    if below.peek().is_none() {
        found.insert(path.to_owned());
    }
    below.for_each(|command| leaves(command, format!("{path} {}", command.get_name()).trim(), found));
}

#[test]
fn every_command_of_the_command_line_has_its_row() {
    let mut known = BTreeSet::new();
    leaves(&command::command(Texts::ENGLISH), "", &mut known);
    let has_row = |leaf: &&String| {
        ELSEWHERE.contains(&leaf.as_str())
            || ROWS.iter().any(|(_, exit, _, typed)| {
                let of_leaf = *typed == **leaf || typed.starts_with(&format!("{leaf} "));
                of_leaf && (*exit == DONE || REFUSED_HERE.contains(&leaf.as_str()))
            })
    };
    let missing: Vec<&String> = known.iter().filter(|leaf| !has_row(leaf)).collect();
    assert_eq!(missing, Vec::<&String>::new(), "without a row");
}
