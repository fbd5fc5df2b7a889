//! With feature `lab`: where lb-control's build script has put the BPF objects.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(objects) = std::env::var("DEP_SLUICE_XDP_OBJECTS") {
        println!("cargo:rustc-env=SLUICE_OBJECTS={objects}");
    }
}
