use super::*;

fn copies(table: &DoubleTable<u32>) -> (Vec<u32>, Vec<u32>) {
    let half = table.region.len() / 2;
    (table.region.read(0, half), table.region.read(half, half))
}

#[test]
fn a_commit_writes_the_idle_copy_only() {
    let mut table = DoubleTable::adopt(Region::anonymous(8).unwrap(), 0);
    table.set(2, 5);
    assert!(table.behind(0));
    table.flush(1);
    assert_eq!(copies(&table), (vec![0, 0, 0, 0], vec![0, 0, 5, 0]));
    assert!(!table.behind(1));

    // The other copy catches up with everything at its own next turn.
    table.set(0, 9);
    table.flush(2);
    assert_eq!(copies(&table), (vec![9, 0, 5, 0], vec![0, 0, 5, 0]));
    table.flush(3);
    assert_eq!(copies(&table), (vec![9, 0, 5, 0], vec![9, 0, 5, 0]));
}

#[test]
fn setting_the_same_value_is_no_change() {
    let mut table = DoubleTable::<u32>::adopt(Region::anonymous(8).unwrap(), 0);
    table.set(1, 0);
    assert!(!table.behind(0) && !table.behind(1));
}

#[test]
fn adoption_keeps_the_live_copy_and_repairs_the_idle_one() {
    let mut region = Region::anonymous(8).unwrap();
    region.write(0, &[1, 2, 3, 4]);
    region.write(4, &[1, 7, 3, 8]);
    let mut table = DoubleTable::adopt(region, 6);
    assert_eq!(table.all(), [1, 2, 3, 4]);
    assert!(!table.behind(6));
    table.flush(7);
    assert_eq!(copies(&table), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
}
