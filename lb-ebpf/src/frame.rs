//! The only place that turns offsets into pointers.

use aya_ebpf::programs::XdpContext;

/// The bytes of a frame, as the context had them when this was made. Moving
/// the frame's head or tail makes it stale.
#[derive(Clone, Copy)]
pub struct Frame {
    start: usize,
    end: usize,
}

/// The frame ends before what was asked for.
pub struct Short;

/// `LEN` bytes of the frame that are known to be there. One check for a whole
/// header, and one base pointer for its fields: the verifier follows ranges by
/// pointer, and the compiler would drop the later of two checks that it finds
/// to say the same of two different pointers.
#[derive(Clone, Copy)]
pub struct Header<const LEN: usize>(*mut u8);

impl Frame {
    #[inline(always)]
    pub fn new(ctx: &XdpContext) -> Self {
        Self { start: ctx.data(), end: ctx.data_end() }
    }

    /// Bytes in the frame.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.end - self.start
    }

    /// The `LEN` bytes from `offset` on.
    #[inline(always)]
    pub fn header<const LEN: usize>(&self, offset: usize) -> Result<Header<LEN>, Short> {
        let base = (self.start + offset) as *mut u8;
        if base.wrapping_add(LEN) as usize > self.end {
            return Err(Short);
        }
        Ok(Header(base))
    }
}

impl<const LEN: usize> Header<LEN> {
    /// Reads the value at byte `AT`, in the packet's byte order.
    #[inline(always)]
    pub fn read<T: Plain, const AT: usize>(&self) -> T {
        const { assert!(AT + size_of::<T>() <= LEN) };
        // SAFETY: `Frame::header` checked `LEN` bytes, the assertion above
        // that this value is within them, and the verifier checks both again;
        // every bit pattern is a valid `Plain`. Headers are not aligned to
        // their fields: the kernels that we load into take unaligned packet
        // access, or their verifier refuses the program.
        unsafe { *self.0.wrapping_add(AT).cast::<T>() }
    }

    /// Writes the value at byte `AT`, in the packet's byte order.
    #[inline(always)]
    pub fn write<T: Plain, const AT: usize>(&self, value: T) {
        const { assert!(AT + size_of::<T>() <= LEN) };
        // SAFETY: as for `read`; nobody else touches the frame meanwhile.
        unsafe { *self.0.wrapping_add(AT).cast::<T>() = value };
    }
}

/// Integers and pairs of them: valid for any bit pattern.
pub trait Plain: Copy {}

impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for [u64; 2] {}
