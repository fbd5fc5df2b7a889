//! The `sluice` binary.

fn main() -> std::process::ExitCode {
    lb_control::cli::main()
}
