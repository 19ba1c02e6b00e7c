//! Generates the client of etcd from the part of its API that is used here.

use prost_build::Config;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let descriptors = protox::compile(["etcd.proto"], ["proto"])?;
    let mut config = Config::new();
    config.bytes(["."]);
    let services = tonic_prost_build::configure().build_server(false);
    services.compile_fds_with_config(descriptors, config)?;
    Ok(())
}
