//! XDP programs in the kernel: loading, attaching, pinning.

pub(crate) mod attach;
pub(crate) mod host;
pub(crate) mod interfaces;
pub(crate) mod pin;

use aya::programs::{ProgramError, Xdp};

/// Loads a program. The verifier gives up with `EAGAIN` when a signal reaches
/// the thread meanwhile; then it is asked again, as libbpf does.
///
/// # Errors
/// Of the kernel, the last time.
pub fn load_program(program: &mut Xdp) -> Result<(), ProgramError> {
    const TRIES: u32 = 5;
    for _ in 1..TRIES {
        match program.load() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.kind() == std::io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
    program.load()
}

/// The kernel's reason, and what may help.
pub(crate) fn explain(error: ProgramError) -> anyhow::Error {
    let hint = match &error {
        ProgramError::LoadError { io_error, .. }
            if io_error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            "the kernel did not let us load the XDP program: run as root, or with CAP_BPF, \
             CAP_NET_ADMIN and CAP_PERFMON"
        }
        _ => {
            "the kernel refused the XDP program: it may be older than Linux 6.1, or this is a \
             defect; please report it with the text below"
        }
    };
    anyhow::Error::new(error).context(hint)
}
