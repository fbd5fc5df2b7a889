//! New connections follow weights.

use anyhow::{Result, ensure};
use lab::{Lab, l2};

#[test]
fn spread_follows_weights() -> Result<()> {
    let lab = Lab::build().servers(3).service(l2("www")).start()?;
    for weights in [[100, 100, 100], [300, 200, 100], [100, 0, 50], [0, 0, 1]] {
        let mut expected = Vec::new();
        for (index, weight) in weights.into_iter().enumerate() {
            let address = lab.backend("www", index).to_string();
            lab.sluice(&["weight", "www", &address, &weight.to_string()])?.stdout()?;
            expected.push((lab.servers()[index].name(), weight));
        }
        let answers = lab.get_many("www", 600)?;
        answers.all_answered()?;
        answers.spread.follows(&expected)?;
    }
    Ok(())
}

#[test]
fn no_weight_anywhere_refuses() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).start()?;
    let address = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &address, "0"])?.stdout()?;
    let answers = lab.get_many("www", 20)?;
    ensure!(answers.refused == 20, "{answers:?}");
    Ok(())
}
