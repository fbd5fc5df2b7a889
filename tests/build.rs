//! With feature `lab`, compiles the XDP program and the programs that measure
//! it, for the packet tables and the bench.

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "lab")]
    build_xdp()?;
    Ok(())
}

/// The toolchain comes from `cargo xtask`, which knows what this machine has.
#[cfg(feature = "lab")]
fn build_xdp() -> anyhow::Result<()> {
    use anyhow::Context as _;

    println!("cargo:rerun-if-env-changed=SLUICE_BPF_TOOLCHAIN");
    let toolchain = std::env::var("SLUICE_BPF_TOOLCHAIN").context(
        "feature `lab` needs a BPF compiler; run `cargo xtask test`, which finds or installs one \
         and names it in SLUICE_BPF_TOOLCHAIN",
    )?;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../lb-ebpf");
    println!("cargo:rerun-if-changed={}/../lb-common/src", env!("CARGO_MANIFEST_DIR"));
    // As in lb-control's build script, which says why.
    //
    // SAFETY: a build script has one thread here.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf") };
    let package = aya_build::Package {
        name: "lb-ebpf",
        root_dir: root,
        features: &["bench"],
        ..Default::default()
    };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&toolchain))
}
