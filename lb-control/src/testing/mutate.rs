//! Inputs made of others, as a seed decides.

use fastrand::Rng;

/// Bytes at the edges of what a parser tells apart.
const BYTES: &[u8] = b"\0\x01\x7f\x80\xff\n\r\t \"'#%+-./0159:;=@[]^{}~";
/// Numbers as texts write them.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "64",
    "100",
    "255",
    "256",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "9999999999999999999999999",
    "1e308",
    "1e999",
    "NaN",
    "inf",
    "0x10",
    "1.5",
];

pub(super) struct Mutator<'a> {
    random: Rng,
    corpus: &'a [Vec<u8>],
    words: &'a [Vec<u8>],
    longest: usize,
}

impl<'a> Mutator<'a> {
    pub(super) fn new(
        seed: u64,
        corpus: &'a [Vec<u8>],
        words: &'a [Vec<u8>],
        longest: usize,
    ) -> Self {
        Self { random: Rng::with_seed(seed), corpus, words, longest }
    }

    pub(super) fn next(&mut self) -> Vec<u8> {
        let mut input = self.any().to_vec();
        input.truncate(self.longest);
        // Often a single slip; sometimes little is left of what it was.
        let most = if self.random.bool() { 2 } else { 12 };
        for _ in 0..self.random.usize(1..=most) {
            self.mutate(&mut input);
            input.truncate(self.longest);
        }
        input
    }

    fn any(&mut self) -> &'a [u8] {
        let index = self.random.usize(0..self.corpus.len());
        &self.corpus[index]
    }

    /// A place, and from there on some bytes of the input.
    fn part(&mut self, input: &[u8]) -> (usize, usize) {
        let from = self.random.usize(0..=input.len());
        let most = if self.random.u8(0..4) == 0 { input.len() } else { 8 };
        (from, (from + self.random.usize(0..=most)).min(input.len()))
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.part(input);
        let kind = self.random.u8(0..10);
        match kind {
            0 | 1 if from < input.len() => {
                input[from] = if kind == 0 {
                    input[from] ^ (1 << self.random.u8(0..8))
                } else {
                    BYTES[self.random.usize(0..BYTES.len())]
                };
            }
            2 => input.insert(from, self.random.u8(..)),
            3 => drop(input.drain(from..to)),
            4 => {
                let times = 1 << self.random.u8(0..8);
                let repeated = input[from..to].repeat(times);
                input.splice(from..from, repeated.into_iter().take(self.longest));
            }
            5 => {
                // A length or a count that is not what it was.
                let edge: u64 = [0, 1, 1 << 7, 1 << 15, 1 << 31, 1 << 63][self.random.usize(0..6)];
                let number = edge.wrapping_sub(self.random.u64(0..3)).to_be_bytes();
                let width = 1 << self.random.u8(0..4);
                let mut number = number[8 - width..].to_vec();
                if self.random.bool() {
                    number.reverse();
                }
                let end = (from + width).min(input.len());
                input.splice(from..end, number);
            }
            6 if !self.words.is_empty() => {
                let word = &self.words[self.random.usize(0..self.words.len())];
                let end = if self.random.bool() { from } else { to };
                input.splice(from..end, word.iter().copied());
            }
            7 => input.truncate(from),
            8 => {
                let other = self.any();
                let (begin, end) = self.part(other);
                input.splice(from..to, other[begin..end].iter().copied());
            }
            _ => {
                let number = NUMBERS[self.random.usize(0..NUMBERS.len())].bytes();
                let digits = input[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                input.splice(from..from + digits, number);
            }
        }
    }
}
