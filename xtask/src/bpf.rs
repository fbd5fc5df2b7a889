//! Which compiler makes the XDP program. Decided here and nowhere else.
//!
//! | compiler | where |
//! | --- | --- |
//! | rustup's nightly with `rust-src`, and `bpf-linker` | anywhere |
//! | Debian's `rustc-web` with `libstd-rust-web-dev-bpf`, linked as rustup toolchain `bpf` | Debian |

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    debian,
    run::{quietly, say},
    setup::find,
};

/// Tells lb-control's build script the toolchain's name.
pub const VARIABLE: &str = "SLUICE_BPF_TOOLCHAIN";

const LINKED: &str = "bpf";
const COMPILER_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const LINKER_PACKAGES: &[&str] = &["llvm-22-dev", "libzstd-dev", "clang-22"];
const LINKER_VERSION: &str = "0.13.0";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// A rustup toolchain that compiles for BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler(String);

impl Compiler {
    /// Its name, for `rustup run`.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustup's toolchain `{}`", self.0)
    }
}

/// The compiler, installed if need be and if that can be done.
pub fn ensure() -> Result<Compiler> {
    if let Ok(name) = std::env::var(VARIABLE) {
        return Ok(Compiler(name));
    }
    let toolchains = toolchains()?;
    let linker = find("bpf-linker").is_some();
    if let Some(compiler) = choose(&toolchains, linker) {
        return Ok(compiler);
    }
    if !debian::can_install() {
        bail!("{}", advice(&toolchains, linker));
    }
    install(&toolchains, linker).with_context(|| advice(&toolchains, linker))?;
    Ok(Compiler(LINKED.to_owned()))
}

/// A rustup toolchain and the directory it lives in.
#[derive(Clone, Debug)]
struct Toolchain {
    name: String,
    sysroot: PathBuf,
}

impl Toolchain {
    /// Nightly compiles `core` for BPF by itself, if it has the source.
    fn is_nightly_with_source(&self) -> bool {
        self.name.starts_with("nightly")
            && self.sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
    }

    fn has_core_for_bpf(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(bpf_target()).exists()
    }
}

fn bpf_target() -> &'static str {
    if cfg!(target_endian = "little") { "bpfel-unknown-none" } else { "bpfeb-unknown-none" }
}

fn choose(toolchains: &[Toolchain], linker: bool) -> Option<Compiler> {
    let nightly = toolchains.iter().find(|toolchain| toolchain.is_nightly_with_source());
    let linked = || {
        toolchains.iter().find(|toolchain| toolchain.name == LINKED && toolchain.has_core_for_bpf())
    };
    let chosen = nightly.or_else(linked).filter(|_| linker)?;
    Some(Compiler(chosen.name.clone()))
}

fn toolchains() -> Result<Vec<Toolchain>> {
    let listed = Command::new("rustup").args(["toolchain", "list", "--verbose"]).output().context(
        "rustup could not be started; install it from https://rustup.rs, or, on Debian: \
         apt-get install rustup",
    )?;
    Ok(parse_toolchains(&String::from_utf8_lossy(&listed.stdout)))
}

/// `NAME [(active, default)] DIRECTORY`, one a line; older rustups put a tab
/// before the directory.
fn parse_toolchains(listed: &str) -> Vec<Toolchain> {
    listed
        .lines()
        .filter_map(|line| {
            let name = line.split_whitespace().next()?;
            let sysroot = Path::new(line.get(line.find('/')?..)?.trim_end());
            Some(Toolchain { name: name.to_owned(), sysroot: sysroot.to_owned() })
        })
        .collect()
}

fn install(toolchains: &[Toolchain], linker: bool) -> Result<()> {
    let mut packages = debian::missing(COMPILER_PACKAGES);
    if !linker {
        packages.extend(debian::missing(LINKER_PACKAGES));
    }
    if !packages.is_empty() {
        debian::install("the BPF compiler", &packages)?;
    }
    if !toolchains.iter().any(|toolchain| toolchain.name == LINKED) {
        say("linking Debian's compiler as rustup toolchain `bpf`");
        let linked = Command::new("rustup").args(["toolchain", "link", LINKED, "/usr"]).status()?;
        if !linked.success() {
            bail!("rustup toolchain link {LINKED} /usr failed ({linked})");
        }
    }
    if !linker {
        quietly("compiling bpf-linker, about a minute", &mut linker_installation())?;
    }
    Ok(())
}

fn linker_installation() -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["install", "bpf-linker", "--locked", "--version", LINKER_VERSION])
        // The default features want an LLVM that Debian does not have.
        .args(["--no-default-features", "--features", "llvm-22"])
        // Both: llvm-sys asks the second; bpf-linker's own build script asks the
        // first, without which another llvm-config on the machine misleads it.
        .env("LLVM_PREFIX", LLVM_PREFIX)
        .env("LLVM_SYS_221_PREFIX", LLVM_PREFIX);
    cargo
}

/// What a person has to do where we cannot.
fn advice(toolchains: &[Toolchain], linker: bool) -> String {
    let nightly = toolchains.iter().any(|toolchain| toolchain.name.starts_with("nightly"));
    let have = match (nightly, linker) {
        (true, _) => "rustup's nightly is here, but without rust-src or without bpf-linker",
        (false, true) => "bpf-linker is here, but no compiler",
        (false, false) => "neither is here",
    };
    let debian = if find("apt-get").is_some() {
        "\nor, on Debian, run `cargo xtask setup` as root, which installs Debian's compiler"
    } else {
        ""
    };
    format!(
        "the XDP program needs a Rust compiler for BPF and bpf-linker ({have}); install them:\n  \
         rustup toolchain install nightly --component rust-src\n  \
         cargo install bpf-linker{debian}"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sysroot(name: &str, file: Option<&str>) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        if let Some(file) = file {
            let file = directory.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        directory
    }

    fn toolchain(name: &str, sysroot: PathBuf) -> Toolchain {
        Toolchain { name: name.to_owned(), sysroot }
    }

    #[test]
    fn rustup_lists_are_read() {
        let listed = "stable-x86_64-unknown-linux-gnu (active, default) /home/a b/.rustup/stable\n\
                      bpf\t/usr\n";
        let read = parse_toolchains(listed);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].name, "stable-x86_64-unknown-linux-gnu");
        assert_eq!(read[0].sysroot, Path::new("/home/a b/.rustup/stable"));
        assert_eq!((read[1].name.as_str(), read[1].sysroot.as_path()), ("bpf", Path::new("/usr")));
    }

    #[test]
    fn nightly_needs_its_source() {
        let bare = toolchain("nightly-x86_64-unknown-linux-gnu", sysroot("bare", None));
        let full = toolchain(
            "nightly-2026-01-01",
            sysroot("full", Some("lib/rustlib/src/rust/library/core/src/lib.rs")),
        );
        let core = format!("lib/rustlib/{}/lib", bpf_target());
        let debian = toolchain("bpf", sysroot("debian", Some(&core)));
        let empty = toolchain("bpf", sysroot("empty", None));
        let name = |toolchains: &[&Toolchain]| {
            let toolchains: Vec<_> = toolchains.iter().map(|t| (*t).clone()).collect();
            choose(&toolchains, true).map(|compiler| compiler.0)
        };
        assert_eq!(name(&[&bare]), None);
        assert_eq!(name(&[&bare, &empty]), None);
        assert_eq!(name(&[&bare, &debian]).as_deref(), Some("bpf"));
        assert_eq!(name(&[&debian, &full]).as_deref(), Some("nightly-2026-01-01"));
        assert_eq!(choose(&[debian.clone(), full.clone()], false), None);
        for toolchain in [full, debian] {
            fs::remove_dir_all(toolchain.sysroot).unwrap();
        }
    }
}
