//! One URL after the other, until every POP gives the new object: what `freshen probe` sees.

use super::Bench;
use super::floor::Floor;
use super::spread::{HEAD, Spread};
use super::three::{DOMAIN, Three};
use anyhow::{Context as _, ensure};
use std::path::Path;

pub(super) fn measure(bench: &Bench<'_>, folder: &Path) -> anyhow::Result<String> {
    let three = Three::start(&bench.program, folder)?;
    let floor = Floor::measure(&three.data)?;
    let rounds = bench.options.rounds.to_string();
    let said = three.client(&["probe", "--domain", DOMAIN, "--rounds", &rounds, "--json"])?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    let pops = said["pops"].as_object().map_or(0, serde_json::Map::len);
    ensure!(pops == 3 && said["false_completes"] == 0, "{said}");
    let spread = |name: &str| Spread::read(&said[name]).with_context(|| format!("no {name} in {said}"));
    Ok([
        HEAD.to_owned(),
        spread("accepted")?.row("accepted, durable"),
        spread("last")?.row("new at the last of three POPs"),
        spread("complete")?.row("reported complete"),
        floor.round_trip.row("*a round trip over loopback*"),
        floor.synced_write.row("*a synced write of 256 bytes*"),
        floor.both.row("*one after the other*"),
        format!(
            "\n{rounds} purges; 0 of {} answers asked for after «complete» were old.\n",
            said["asked_after_complete"]
        ),
    ]
    .concat())
}
