//! Compiles the gRPC contracts and, with feature `xdp`, the XDP programs.

use anyhow::Context as _;

const PROTOS: &[&str] = &[
    "proto/sluice/v1/common.proto",
    "proto/sluice/v1/agent.proto",
    "proto/sluice/v1/edge.proto",
    "proto/sluice/v1/control.proto",
];

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=proto");
    // protox is a protobuf compiler in Rust: no protoc on the machine is needed.
    let descriptors =
        protox::compile(PROTOS, ["proto"]).context("the proto files do not compile")?;
    tonic_prost_build::configure()
        .compile_fds(descriptors)
        .context("no Rust code could be made from the proto files")?;
    #[cfg(feature = "xdp")]
    build_xdp()?;
    Ok(())
}

/// The toolchain comes from `cargo xtask`, which knows what this machine has.
#[cfg(feature = "xdp")]
fn build_xdp() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed=SLUICE_BPF_TOOLCHAIN");
    let toolchain = std::env::var("SLUICE_BPF_TOOLCHAIN").context(
        "feature `xdp` needs a BPF compiler; build with `cargo xtask build`, which finds or \
         installs one and names it in SLUICE_BPF_TOOLCHAIN",
    )?;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../lb-ebpf");
    println!("cargo:rerun-if-changed={}/../lb-common/src", env!("CARGO_MANIFEST_DIR"));
    // The distribution's compiler is a stable one, and aya-ebpf needs unstable
    // features. Set here and not by cargo xtask: common crates' build scripts
    // watch this variable, and every crate would be compiled once with and once
    // without it. On nightly it changes nothing.
    //
    // SAFETY: a build script has one thread here.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf") };
    let steer: &[&str] = if cfg!(feature = "bench") { &["steer", "bench"] } else { &["steer"] };
    for features in [steer, &["decap"]] {
        let package = aya_build::Package {
            name: "lb-ebpf",
            root_dir: root,
            no_default_features: true,
            features,
        };
        aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&toolchain))?;
    }
    // For the build script of `tests`: the objects are built once.
    println!("cargo:objects={}", std::env::var("OUT_DIR")?);
    Ok(())
}
