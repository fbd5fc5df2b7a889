use nix::sched::sched_getcpu;

use super::*;

#[test]
fn a_grace_period_ends() {
    let grace = KernelGrace::start().unwrap();
    let first = grace.begin();
    let second = grace.begin();
    assert!(second > first);
    grace.wait(second);
    assert!(grace.passed(first) && grace.passed(second));
    assert!(!grace.passed(second + 1));
}

#[test]
fn a_visit_moves_the_thread() {
    let seen = thread::spawn(|| {
        online_cpus()
            .unwrap()
            .into_iter()
            .filter(|&cpu| {
                let mut only = CpuSet::new();
                only.set(cpu as usize).unwrap();
                // CPUs that this test may not use prove nothing.
                sched_setaffinity(Pid::from_raw(0), &only).is_ok()
                    && sched_getcpu().unwrap() != cpu as usize
            })
            .count()
    });
    assert_eq!(seen.join().unwrap(), 0);
}
