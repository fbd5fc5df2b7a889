//! What the kernel's verifier says of the programs: how far it walks and how
//! much stack they use. The budgets are a little above what there is, so that
//! growth is noticed. The kernel takes a million instructions, which is far away,
//! as kernels whose verifier prunes less need it, and 512 bytes of stack along a
//! chain of calls: what all functions have together is more than any chain.

use lab::packet::{Walk, walk_edge, walk_server};

/// Instructions, and bytes of stack of the program and of all its functions.
struct Budget {
    instructions: u32,
    stack: u32,
}

fn keeps(program: &str, walk: &Walk, budget: &Budget) {
    let stack = walk.stack.iter().sum::<u32>();
    println!("{program}: {} instructions, {:?} bytes of stack", walk.instructions, walk.stack);
    for (what, used, allowed) in [
        ("instructions walked", walk.instructions, budget.instructions),
        ("bytes of stack", stack, budget.stack),
    ] {
        assert!(used > 0 && used <= allowed, "{program}: {used} {what}, the budget is {allowed}");
    }
}

/// The program that steers; the same while packets are watched; and when it is
/// asked what it would do.
#[test]
fn the_edges_program_keeps_its_budget() {
    let purposes = [
        ("sluice", Budget { instructions: 200_000, stack: 512 }),
        ("sluice, watching", Budget { instructions: 207_000, stack: 512 }),
        ("sluice, asked", Budget { instructions: 201_000, stack: 512 }),
    ];
    for (purpose, (name, budget)) in purposes.iter().enumerate() {
        keeps(name, &walk_edge(purpose as u32).unwrap(), budget);
    }
}

#[test]
fn the_servers_program_keeps_its_budget() {
    let budget = Budget { instructions: 4_400, stack: 112 };
    keeps("sluice_decap", &walk_server().unwrap(), &budget);
}
