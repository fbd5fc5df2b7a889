//! Bytes that nobody should send, for everything that reads bytes from outside.
//!
//! A test named `fuzzed` hands its parser to [`Fuzz`], which feeds it a corpus
//! (`tests/corpus/PARSER`, and what the test adds) and then mutations of it, all
//! of them decided by a seed. A parser must not panic, must be quick and must not
//! take much memory; what more must hold, the test checks itself. An input that
//! fails is written into the corpus, so that it is tried from then on.
//!
//! `cargo test` tries a few thousand inputs for each; `cargo xtask fuzz --parsers`
//! as many as one likes (`SLUICE_FUZZ_INPUTS`, `SLUICE_FUZZ_SEED`).

mod memory;
mod mutate;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Duration,
};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// The longest input, in bytes.
const LONGEST: usize = 16 << 10;
/// Processor time that one input may cost, in an unoptimised build.
const TIME: Duration = Duration::from_secs(1);
/// Memory that one input may take: so much, and so much for each of its bytes.
const MEMORY: (usize, usize) = (8 << 20, 1 << 10);
/// Inputs for each parser, where nothing else is said.
const INPUTS: u64 = 2000;

/// A parser's corpus.
pub(crate) struct Fuzz {
    parser: &'static str,
    corpus: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Fuzz {
    /// With the files of `tests/corpus/PARSER`: `*.hex` in hexadecimal, others as
    /// they are.
    pub(crate) fn new(parser: &'static str) -> Self {
        let mut files: Vec<PathBuf> = fs::read_dir(directory(parser))
            .map(|files| files.map(|file| file.unwrap().path()).collect())
            .unwrap_or_default();
        files.sort();
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).unwrap();
            if path.extension().is_some_and(|extension| extension == "hex") {
                from_hex(&bytes).unwrap_or_else(|| panic!("{} is no hexadecimal", path.display()))
            } else {
                bytes
            }
        };
        Self { parser, corpus: files.iter().map(read).collect(), words: Vec::new() }
    }

    /// One more input to begin with.
    pub(crate) fn with(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.corpus.push(input.into());
        self
    }

    /// What means something to the parser, and is put in here and there.
    pub(crate) fn words(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|word| word.as_bytes().to_vec()));
        self
    }

    /// Tries the parser.
    ///
    /// # Panics
    /// It panics, or takes too long or too much, with the input that does it.
    pub(crate) fn run(self, mut parse: impl FnMut(&[u8])) {
        let Self { parser, corpus, words } = self;
        assert!(!corpus.is_empty(), "no corpus for {parser}");
        for input in &corpus {
            try_one(parser, input, &mut parse);
        }
        let number = |name, otherwise| match env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number")),
            Err(_) => otherwise,
        };
        let seed = number("SLUICE_FUZZ_SEED", 1) ^ hash(parser.as_bytes());
        let inputs = number("SLUICE_FUZZ_INPUTS", INPUTS);
        let mut mutator = mutate::Mutator::new(seed, &corpus, &words, LONGEST);
        for _ in 0..inputs {
            let input = mutator.next();
            try_one(parser, &input, &mut parse);
        }
        println!("{parser}: {} of the corpus, {inputs} mutated", corpus.len());
    }
}

fn try_one(parser: &str, input: &[u8], parse: &mut impl FnMut(&[u8])) {
    let (begun, memory) = (processor_time(), memory::Watch::begin());
    let outcome = catch_unwind(AssertUnwindSafe(|| parse(input)));
    let (took, held) = (processor_time().saturating_sub(begun), memory.most());
    let wrong = if outcome.is_err() {
        "failed (see above)".to_owned()
    } else if took > TIME {
        format!("took {took:?}")
    } else if held > MEMORY.0 + MEMORY.1 * input.len() {
        format!("took {held} bytes of memory")
    } else {
        return;
    };
    let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = directory(parser).join(format!("crash-{:016x}.hex", hash(input)));
    let kept = fs::create_dir_all(directory(parser)).and_then(|()| fs::write(&path, &hex));
    let kept = match kept {
        Ok(()) => format!("kept in {}", path.display()),
        Err(error) => format!("cannot be kept: {error}"),
    };
    let shown = String::from_utf8_lossy(input);
    panic!("parser `{parser}` {wrong}; the input, {kept}:\n{hex}\n{shown:?}");
}

fn directory(parser: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(parser)
}

/// Of this thread.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("every thread may ask");
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}

/// Pairs of digits; white space and lines that begin with `#` mean nothing.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<char> = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        let high = pair.first()?.to_digit(16)?;
        let low = pair.get(1)?.to_digit(16)?;
        u8::try_from(high << 4 | low).ok()
    };
    digits.chunks(2).map(byte).collect()
}

/// FNV-1a, 64 bits (draft-eastlake-fnv, section 2).
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[test]
fn what_is_wrong_with_a_parser_is_found() {
    type Planted = (&'static str, fn(&[u8]));
    let planted: [Planted; 3] = [
        ("panics", |bytes| {
            assert!(!bytes.windows(3).any(|w| w == b"\xff%0"), "planted");
        }),
        ("hangs", |bytes| {
            let begun = processor_time();
            let long = bytes.iter().filter(|byte| **byte == b'a').count() > 20;
            while long && processor_time() - begun < TIME + Duration::from_millis(50) {}
        }),
        ("grows", |bytes| {
            let length = bytes.first_chunk().map_or(0, |four| u32::from_be_bytes(*four));
            drop(std::hint::black_box(Vec::<u8>::with_capacity(length as usize / 8)));
        }),
    ];
    for (what, parser) in planted {
        let name: &'static str = format!("planted-{what}").leak();
        let fuzz = Fuzz::new(name).with(*b"\0\0\0\x01 aaa 10%").words(&["%0"]);
        let caught = catch_unwind(|| fuzz.run(parser)).expect_err(what);
        let message = caught.downcast_ref::<String>().expect("a message");
        let kept = directory(name);
        assert!(message.contains(&format!("parser `{name}`")), "{message}");
        assert!(fs::read_dir(&kept).is_ok_and(|files| files.count() == 1), "{message}");
        fs::remove_dir_all(&kept).unwrap();
    }
}
