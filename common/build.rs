//! Compiles the schema of stored records with protox: no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = "../proto/proto";
    println!("cargo::rerun-if-changed={schema}/dobaas/v1/stored.proto");
    let descriptors = protox::compile(["dobaas/v1/stored.proto"], [schema])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
