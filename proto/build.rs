//! Compiles the wire schema with protox: no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = [
        "account",
        "admin",
        "approvals",
        "audit",
        "backup",
        "closures",
        "history",
        "monitor",
        "orders",
        "places",
        "quotas",
        "restore",
        "server",
        "sets",
        "types",
        "upkeep",
    ];
    let paths = files.map(|file| format!("proto/dobaas/v1/{file}.proto"));
    let descriptors = protox::compile(paths, ["proto"])?;
    tonic_prost_build::configure().bytes(".dobaas.v1").compile_fds(descriptors)?;
    Ok(())
}
