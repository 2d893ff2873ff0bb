//! Very many POPs that keep nothing, following one control: control on one core, they on the other.

use super::spread::{HEAD, Spread};
use super::{Bench, build_example};
use crate::bench::freshen::Freshen;
use crate::bench::load::HOST;
use crate::bench::process::{SERVER_CORE, on_core};
use anyhow::{Context as _, ensure};
use std::path::Path;

pub(super) fn measure(bench: &Bench<'_>, folder: &Path) -> anyhow::Result<String> {
    let program = build_example(bench.root, "freshen-cli", "light_fleet")?;
    // Nobody fetches anything.
    let freshen = Freshen::set_up(&bench.program, folder.join("freshen"), 9)?;
    // The POP of the set-up does not run; nothing shall wait for it.
    freshen.client(&["pop", "remove", "pop-1", "--destroyed"])?;
    let (id, secret) = freshen.key()?;
    let mut command = on_core(SERVER_CORE, program.to_str().context("the program's path is UTF-8")?);
    command.args(["--access-key-id", &id, "--access-key-secret", &secret, "--domain", HOST]);
    for (option, value) in [
        ("--users", format!("127.0.0.1:{}", freshen.users_port)),
        ("--fleet", format!("127.0.0.1:{}", freshen.fleet_port)),
        ("--clients", bench.options.clients.to_string()),
        ("--purges", bench.options.rounds.to_string()),
    ] {
        command.arg(option).arg(value);
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let spread = |name: &str| Spread::read(&said[name]).with_context(|| format!("no {name} in {said}"));
    Ok([
        HEAD.to_owned(),
        spread("accepted")?.row("accepted, durable"),
        spread("received")?.row("at a POP"),
        spread("last")?.row("at the last POP"),
        spread("complete")?.row("reported complete, confirmed by all"),
        format!("\n{} POPs, {} purges one after the other.\n", said["clients"], said["purges"]),
    ]
    .concat())
}
