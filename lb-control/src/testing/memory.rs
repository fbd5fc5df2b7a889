//! How much memory a thread takes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    /// Bytes that are held, and the most that were. Frees of what another thread
    /// has allocated make it less than nothing.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn note(bytes: isize) {
    // At a thread's end nobody counts.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = now.wrapping_add(bytes);
        held.set((now, most.max(now)));
    });
}

// SAFETY: every call is the system allocator's, unchanged; counting allocates nothing,
// since the thread-local is constant at its start and needs no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(-layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Watches what this thread takes from now on.
pub(super) struct Watch {
    held: isize,
}

impl Watch {
    pub(super) fn begin() -> Self {
        HELD.with(|held| {
            let (now, _) = held.get();
            held.set((now, now));
            Self { held: now }
        })
    }

    /// The most bytes that were held at once, beside what was held before.
    pub(super) fn most(&self) -> usize {
        HELD.with(|held| usize::try_from(held.get().1 - self.held).unwrap_or(0))
    }
}
