//! What version 1 of the protocol says, line by line: a program that was delivered yesterday is understood tomorrow.
//!
//! Each call, field and value of an enumeration stands in `tests/golden/wire-v1.txt` with its number. A line that is there stays there as long
//! as version 1 is spoken: its number keeps its type and its meaning. What is new is added to the file.

use std::collections::BTreeSet;

use protox::prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::forge;

const RELEASED: &str = include_str!("../golden/wire-v1.txt");

#[test]
fn what_version_1_says_is_said_the_same_way_from_now_on() {
    let spoken = lines(&forge::schema());
    let released: BTreeSet<String> = RELEASED.lines().map(str::to_owned).collect();
    let gone: Vec<_> = released.difference(&spoken).collect();
    let added: Vec<_> = spoken.difference(&released).map(String::as_str).collect();
    assert!(gone.is_empty(), "older programs still say, or expect to hear: {gone:#?}");
    assert!(added.is_empty(), "to be added to server/tests/golden/wire-v1.txt:\n{}", added.join("\n"));
}

fn lines(schema: &DescriptorPool) -> BTreeSet<String> {
    let ours = |name: &str| name.starts_with("dobaas.");
    let calls = schema.services().flat_map(|service| service.methods().collect::<Vec<_>>()).map(|call| {
        let stream = |yes: bool| if yes { "stream " } else { "" };
        format!(
            "call {} ({}{}) {}{}",
            forge::path(&call),
            stream(call.is_client_streaming()),
            call.input().full_name(),
            stream(call.is_server_streaming()),
            call.output().full_name()
        )
    });
    let messages = schema.all_messages().filter(|message| ours(message.full_name()));
    let enums = schema.all_enums().filter(|values| ours(values.full_name()));
    calls.chain(messages.flat_map(|message| fields(&message))).chain(enums.flat_map(|all| values(&all))).collect()
}

fn fields(message: &MessageDescriptor) -> Vec<String> {
    let line = |field: FieldDescriptor| {
        let kind = match field.kind() {
            Kind::Message(message) => message.full_name().to_owned(),
            Kind::Enum(values) => values.full_name().to_owned(),
            simple => format!("{simple:?}").to_lowercase(),
        };
        let repeated = if field.cardinality() == Cardinality::Repeated { "repeated " } else { "" };
        // Whether absence differs from zero is part of the meaning, though not of the bytes.
        let optional = if field.supports_presence() { "optional " } else { "" };
        format!("field {} {}: {repeated}{optional}{kind} {}", message.full_name(), field.number(), field.name())
    };
    message.fields().map(line).collect()
}

fn values(all: &EnumDescriptor) -> Vec<String> {
    all.values().map(|value| format!("value {} {}: {}", all.full_name(), value.number(), value.name())).collect()
}

#[test]
fn a_field_that_changes_its_number_or_its_type_is_noticed() {
    let released =
        lines(&schema_of("message A { uint32 a = 1; repeated string b = 2; } enum E { NONE = 0; ONE = 1; }"));
    for changed in [
        "message A { uint32 a = 3; repeated string b = 2; } enum E { NONE = 0; ONE = 1; }",
        "message A { uint64 a = 1; repeated string b = 2; } enum E { NONE = 0; ONE = 1; }",
        "message A { uint32 a = 1; string b = 2; } enum E { NONE = 0; ONE = 1; }",
        "message A { repeated string b = 2; } enum E { NONE = 0; ONE = 1; }",
        "message A { uint32 a = 1; repeated string b = 2; } enum E { NONE = 0; ONE = 2; }",
    ] {
        assert!(!released.is_subset(&lines(&schema_of(changed))), "{changed}");
    }
}

fn schema_of(text: &str) -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.proto"), format!("syntax = \"proto3\"; package dobaas.v1; {text}")).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("a.proto").unwrap();
    compiler.descriptor_pool()
}
