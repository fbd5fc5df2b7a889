//! Layout: sizes without padding, and reasons that match their counters.

use core::mem::{align_of, size_of};

use super::*;

#[test]
fn sizes_are_the_documented_ones() {
    assert_eq!(size_of::<LookupKey>(), 20);
    assert_eq!(size_of::<LookupSlot>(), 32);
    assert_eq!(size_of::<Service>(), 64);
    assert_eq!(size_of::<Backend>(), 64);
    assert_eq!(size_of::<Policy>(), 16);
    assert_eq!(size_of::<RingSlot>(), 4);
    assert_eq!(size_of::<ClassRange>(), 24);
    assert_eq!(size_of::<Name>(), 64);
    assert_eq!(size_of::<Config>(), 592);
    assert_eq!(size_of::<FlowKey>(), 40);
    assert_eq!(size_of::<FlowEntry>(), 8);
    assert_eq!(size_of::<ServiceCounters>(), 56);
    assert_eq!(size_of::<BackendCounters>(), 48);
    assert_eq!(size_of::<ClassCounters>(), 16);
    assert_eq!(size_of::<Trace>(), 120);
}

#[test]
fn fields_leave_no_padding() {
    // The sum of the fields' sizes is the size of the whole.
    assert_eq!(16 + 2 + 1 + 1, size_of::<LookupKey>());
    assert_eq!(20 + 4 + 4 + 4, size_of::<LookupSlot>());
    assert_eq!(4 + 4 + 16 + 2 + 1 + 1 + 2 + 1 + 1 + 4 + 4 + 24, size_of::<Service>());
    assert_eq!(16 + 2 + 1 + 1 + 6 + 6 + 4 + 4 + 4 + 2 + 1 + 8 + 9, size_of::<Backend>());
    assert_eq!(8 + 1 + 1 + 6, size_of::<Policy>());
    assert_eq!(16 + 6 * 4 + 4 + 4 + 16 + 16 + 512, size_of::<Config>());
    assert_eq!(16 + 16 + 2 + 2 + 1 + 3, size_of::<FlowKey>());
    assert_eq!(2 + 2 + 4, size_of::<FlowEntry>());
    assert_eq!(
        8 * 2 + 16 * 2 + 2 * 2 + 4 + 8 + 4 * 4 + 8 + 2 * 2 + 4 * 4 + 2 + 6 + 1 + 3,
        size_of::<Trace>()
    );
}

#[test]
fn array_elements_need_no_stride_padding() {
    // Array maps round the element stride up to 8 bytes: sizes that are
    // multiples of 8 can be mapped as a plain slice.
    for (size, align) in [
        (size_of::<LookupSlot>(), align_of::<LookupSlot>()),
        (size_of::<Service>(), align_of::<Service>()),
        (size_of::<Backend>(), align_of::<Backend>()),
        (size_of::<Policy>(), align_of::<Policy>()),
        (size_of::<ClassRange>(), align_of::<ClassRange>()),
        (size_of::<Name>(), 8),
        (size_of::<Config>(), align_of::<Config>()),
        (size_of::<Trace>(), align_of::<Trace>()),
    ] {
        assert_eq!(size % 8, 0);
        assert!(align <= 8);
    }
}

#[test]
fn reasons_are_dense_and_named_once() {
    for (index, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index);
        assert_eq!(Reason::ALL.iter().filter(|r| r.name() == reason.name()).count(), 1);
    }
}

#[test]
fn a_ring_slot_is_one_word() {
    assert_eq!(RingSlot::default(), RingSlot(0));
    assert_eq!(RingSlot::new(0x1234, 0x1234), RingSlot(0x1234_1234));
    assert_eq!(RingSlot::new(0x7fff, 1), RingSlot(0xffff_0001));
    assert_eq!(RingSlot::new(2, 2).touched_if(true), RingSlot(0x8002_0002));
    assert_eq!(RingSlot::new(2, 2).touched_if(true).touched_if(false), RingSlot(0x8002_0002));
}

#[test]
fn every_id_fits_a_ring_slot() {
    let last = (MAX_BACKENDS - 1) as u16;
    for (settled, current) in [(0, 0), (0, last), (last, 0), (last, last), (1, 2)] {
        for touched in [false, true] {
            let slot = RingSlot::new(settled, current).touched_if(touched);
            assert_eq!((slot.settled(), slot.current()), (settled, current));
            assert_eq!(slot.differs(), settled != current);
            assert_eq!(slot.is_touched(), touched || settled != current);
        }
    }
}

#[test]
fn copies_alternate() {
    assert_eq!(copy_base(0, 10), 0);
    assert_eq!(copy_base(1, 10), 10);
    assert_eq!(copy_base(2, 10), 0);
}
