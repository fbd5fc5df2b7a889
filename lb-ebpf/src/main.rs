//! The XDP program `sluice`.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

use aya_ebpf::{macros::xdp, programs::XdpContext};

#[xdp]
pub fn sluice(ctx: XdpContext) -> u32 {
    lb_ebpf::path::run(&ctx)
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier accepts only programs that cannot come here.
    loop {}
}

/// The kernel gives helpers such as `bpf_fib_lookup` to GPL programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Lets tools that know only the host look at the whole workspace.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
