//! Root: compiles `proto/` into Rust: messages by prost, canonical proto JSON by pbjson; no protoc needed.

use std::{env, error::Error, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(["hanamichi/v1/hub.proto"], ["proto"])?;
    let described = descriptors.encode_to_vec();
    prost_build::Config::new().compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&described)?
        // A newer peer may know more than we do; readers ignore what they do not know.
        .ignore_unknown_fields()
        .build(&[".hanamichi.v1"])?;
    // The web app is embedded from here; without it the pages say how to build it, and everything else works.
    std::fs::create_dir_all("web/dist")?;
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets the manifest directory")?);
    for watched in ["proto/hanamichi", "migrations", "build.rs"] {
        use std::io::Write as _;
        writeln!(std::io::stdout(), "cargo:rerun-if-changed={}", root.join(watched).display())?;
    }
    Ok(())
}
