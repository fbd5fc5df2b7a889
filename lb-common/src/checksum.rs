//! Internet checksums (RFC 1071) and their incremental update (RFC 1624).

/// Adds big-endian 16-bit words of `data` to a running sum; an odd last byte
/// is the high half of a word.
#[inline(always)]
pub const fn sum(mut acc: u64, data: &[u8]) -> u64 {
    let mut i = 0;
    while i + 1 < data.len() {
        acc += u16::from_be_bytes([data[i], data[i + 1]]) as u64;
        i += 2;
    }
    if i < data.len() {
        acc += (data[i] as u64) << 8;
    }
    acc
}

/// Folds a running sum to 16 bits, without complement.
#[inline(always)]
pub const fn fold(mut acc: u64) -> u16 {
    acc = (acc & 0xffff_ffff) + (acc >> 32);
    acc = (acc & 0xffff) + (acc >> 16);
    acc = (acc & 0xffff) + (acc >> 16);
    acc = (acc & 0xffff) + (acc >> 16);
    acc as u16
}

/// The checksum to store for a running sum.
#[inline(always)]
pub const fn finish(acc: u64) -> [u8; 2] {
    (!fold(acc)).to_be_bytes()
}

/// The checksum after fields summing to `removed` were replaced by fields
/// summing to `added` (RFC 1624 equation 3: `HC' = ~(~HC + ~m + m')`).
#[inline(always)]
pub const fn replace(checksum: [u8; 2], removed: u64, added: u64) -> [u8; 2] {
    let old = !u16::from_be_bytes(checksum) as u64;
    let minus = !fold(removed) as u64;
    finish(old + minus + fold(added) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 section 3.
    #[test]
    fn rfc_1071_example() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(0, &data)), 0xddf2);
    }

    /// RFC 1624 section 4: the case that RFC 1141 gets wrong.
    #[test]
    fn rfc_1624_example() {
        assert_eq!(replace([0xdd, 0x2f], 0x5555, 0x3285), [0x00, 0x00]);
    }

    #[test]
    fn replace_equals_a_fresh_sum() {
        for n in 0..=u16::MAX {
            let mut data = [0x12, 0x34, 0, 0, 0xfe, 0xdc, 0x00, 0x01];
            let before = finish(sum(0, &data));
            data[2..4].copy_from_slice(&n.to_be_bytes());
            assert_eq!(replace(before, 0, n as u64), finish(sum(0, &data)));
        }
    }

    #[test]
    fn odd_length_pads_with_zero() {
        assert_eq!(sum(0, &[1, 2, 3]), sum(0, &[1, 2, 3, 0]));
    }
}
