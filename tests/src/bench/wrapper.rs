//! The program that makes packets and goes on to the one that is measured.

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    maps::{Array, ProgramArray},
    programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp},
};

use super::cases::Case;

pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("SLUICE_OBJECTS"), "/sluice-bench"));
/// Bytes of the template: Ethernet, IPv6 and TCP headers.
const TEMPLATE: usize = 74;
const ABORTED: u32 = 0;

pub(super) struct Wrapper {
    ebpf: Ebpf,
    /// Goes away with its descriptor.
    _next: ProgramArray<aya::maps::MapData>,
}

impl Wrapper {
    /// Around a program, or around one that only sends the frame back.
    pub(super) fn around(program: Option<&Xdp>) -> Result<Self> {
        let mut ebpf = Ebpf::load(OBJECT).context("loading what measures")?;
        load(&mut ebpf, "bench")?;
        load(&mut ebpf, "floor")?;
        let floor = xdp(&ebpf, "floor")?.fd()?.try_clone()?;
        let program = program.map(|program| program.fd()?.try_clone().map_err(Into::into));
        let target: ProgramFd = program.unwrap_or(Ok::<_, anyhow::Error>(floor))?;
        let mut next: ProgramArray<_> = ebpf.take_map("NEXT").context("no map NEXT")?.try_into()?;
        next.set(0, &target, 0).context("the kernel refused the tail call")?;
        Ok(Self { ebpf, _next: next })
    }

    /// Begins every flow of a case that wants it.
    pub(super) fn begin(&mut self, case: &Case) -> Result<()> {
        // Steps of the golden ratio meet every flow within two rounds.
        case.begin.as_ref().map_or(Ok(()), |frame| self.send(case, frame, 2 * case.flows).map(drop))
    }

    /// Nanoseconds for each of `packets` packets of a case.
    pub(super) fn run(&mut self, case: &Case, packets: u32) -> Result<f64> {
        self.send(case, &case.frame, packets)
    }

    fn send(&mut self, case: &Case, frame: &[u8], packets: u32) -> Result<f64> {
        describe(&mut self.ebpf, case, frame)?;
        let options =
            TestRunOptions { data_in: Some(frame), repeat: packets, ..Default::default() };
        let result = xdp(&self.ebpf, "bench")?.test_run(options)?;
        ensure!(result.return_value != ABORTED, "case `{}`: the wrapper gave up", case.name);
        Ok(result.duration.as_nanos() as f64)
    }
}

/// Tells the programs of what they are to make each packet: a case's frame.
pub(super) fn describe(ebpf: &mut Ebpf, case: &Case, frame: &[u8]) -> Result<()> {
    let mut template = [0; TEMPLATE];
    template[..frame.len()].copy_from_slice(frame);
    set(ebpf, "TEMPLATE", template)?;
    let settings = [
        case.flows,
        case.ipv6.into(),
        case.to_client.into(),
        frame.len() as u32,
        case.overhead,
        case.services,
    ];
    set(ebpf, "SETTINGS", settings)
}

/// Sets the only element of a map.
pub(super) fn set<T: aya::Pod>(ebpf: &mut Ebpf, map: &str, value: T) -> Result<()> {
    let map = ebpf.map_mut(map).with_context(|| format!("no map {map}"))?;
    let mut array: Array<_, T> = map.try_into()?;
    Ok(array.set(0, value, 0)?)
}

pub(super) fn load(ebpf: &mut Ebpf, name: &str) -> Result<()> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    lb_control::xdp::load_program(program)
        .with_context(|| format!("the kernel refused the program {name}"))
}

pub(super) fn xdp<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a Xdp> {
    let program = ebpf.program(name).with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}
