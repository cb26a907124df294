//! Alert rules and dashboards of `deploy/monitoring`, held against the metrics of a running server and against promtool.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::alarms::Scene;

const RULES: &str = "dobaas.rules.yml";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring")
}

fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Output {
    let mut process = Command::new("promtool");
    process.args(arguments).current_dir(folder);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().expect("promtool is installed: Debian package prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn assert_good(output: &Output) {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
}

/// Every expression of the rules and of both dashboards, with where it stands.
fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in fs::read_to_string(folder().join(RULES)).unwrap().lines() {
        if let Some(expression) = line.trim().strip_prefix("expr: ") {
            found.push((RULES.to_owned(), expression.to_owned()));
        }
    }
    assert!(found.len() > 15, "the rules are one line each");
    for file in ["exploitation.json", "abonnement.json"] {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(folder().join(file)).unwrap()).unwrap();
        let before = found.len();
        collect(&dashboard, file, &mut found);
        assert!(found.len() > before + 10, "{file} has few expressions");
    }
    found
}

fn collect(value: &Value, file: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" => found.push((file.to_owned(), text.clone())),
                    // A variable of a dashboard asks for the values of a label.
                    Value::String(text) if name == "query" && text.starts_with("label_values(") => {
                        let metric = text.trim_start_matches("label_values(").split(',').next().unwrap();
                        found.push((file.to_owned(), metric.to_owned()));
                    }
                    _ => collect(value, file, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, file, found)),
        _ => {}
    }
}

/// The names of our metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("dobaas_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// The names that a page shows, with those that a histogram stands for.
fn shown(page: &str) -> BTreeSet<String> {
    let heads = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = heads.flat_map(|head| match head.split_once(' ').unwrap() {
        (name, "histogram") => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
        (name, _) => vec![name.to_owned()],
    });
    names.collect()
}

/// True if a metric is about a subscription or one of its sources.
fn of_customers(name: &str) -> bool {
    name.starts_with("dobaas_subscription_") || name.starts_with("dobaas_source_")
}

/// The page of metrics, as a scraper gets it.
async fn scrape(scene: &Scene) -> String {
    let address = scene.server.running.metrics_address().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    page.to_owned()
}

#[tokio::test]
async fn every_metric_of_rules_and_dashboards_is_shown_by_a_running_server() {
    let scene = Scene::new(&["bureautique", "bases"], |_| {
        "[metrics]\nlisten = '127.0.0.1:0'\n[alarms.command]\nprogram = ['/bin/cat']\n".to_owned()
    })
    .await;
    scene.back_up(0, 1).await;
    scene.look().await;
    let page = scrape(&scene).await;
    let shown = shown(&page);
    for (file, expression) in expressions() {
        for name in names(&expression) {
            assert!(shown.contains(&name), "{file}: no metric {name} in\n{page}");
        }
    }
    for line in [
        r#"dobaas_source_late{subscription="BC-1",source="bureautique"} 0.0"#,
        r#"dobaas_source_snapshots{subscription="BC-1",source="bureautique"} 1.0"#,
        r#"dobaas_source_snapshots{subscription="BC-1",source="bases"} 0.0"#,
        r#"dobaas_subscription_contracted_bytes{subscription="BC-1"} 500000000000.0"#,
        r#"dobaas_grpc_calls_total{service="dobaas.v1.Backup",method="Commit",code="ok"} 1"#,
        "dobaas_commits_total 1",
        "dobaas_receipts_total 1",
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
    let used: BTreeSet<String> = expressions().iter().flat_map(|(_, expression)| names(expression)).collect();
    let unseen: Vec<&String> = shown.iter().filter(|name| of_customers(name) && !used.contains(*name)).collect();
    assert_eq!(unseen, Vec::<&String>::new(), "no rule and no panel shows them");
    assert_good(&promtool(&["check", "metrics"], &folder(), &page));
}

#[tokio::test]
async fn promtool_reads_every_expression_and_the_rules_pass_their_tests() {
    let scratch = tempfile::tempdir().unwrap();
    let mut rules = "groups:\n- name: all\n  rules:\n".to_owned();
    for (number, (_, expression)) in expressions().iter().enumerate() {
        let expression = expression.replace("$subscription", "BC-1").replace("$instance", "s1").replace('\'', "''");
        rules.push_str(&format!("  - record: expression_{number}\n    expr: '{expression}'\n"));
    }
    fs::File::create(scratch.path().join("all.yml")).unwrap().write_all(rules.as_bytes()).unwrap();
    assert_good(&promtool(&["check", "rules", "all.yml"], scratch.path(), ""));
    assert_good(&promtool(&["check", "rules", RULES], &folder(), ""));
    assert_good(&promtool(&["test", "rules", "dobaas.rules.test.yml"], &folder(), ""));
}
