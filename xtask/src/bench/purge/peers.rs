//! How each side purges a directory.

use super::directory::PREFIX;
use crate::bench::freshen::Freshen;
use crate::bench::load::HOST;
use crate::bench::sides::Others;
use crate::bench::store::ask_for_each;
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// A side, and its way to purge.
pub enum Way<'a> {
    /// One purge of the directory.
    Freshen(&'a Freshen),
    /// One ban by the path that is kept with each object.
    Varnish(&'a Others),
    /// A purge for each of so many URLs; there is no other way.
    Nginx(u16),
}

impl Way<'_> {
    /// How long a purge of all took that has nothing else beside it. Freshen's is as its record has it, from accepted to
    /// confirmed by the POP: its command waits for the counts, too.
    pub fn timed(&self, from: u64, to: u64) -> anyhow::Result<Duration> {
        let Way::Freshen(freshen) = self else {
            let began = Instant::now();
            return self.purge(from, to).map(|()| began.elapsed());
        };
        let directory = format!("http://{HOST}{PREFIX}");
        let task: Value =
            serde_json::from_str(&freshen.client(&["purge", "--dir", "--wait", "--json", &directory])?)?;
        let at = |field: &str| task[field].as_u64().with_context(|| format!("no {field}: {task}"));
        Ok(Duration::from_millis(at("ended_ms")? - at("submitted_ms")?))
    }

    /// Purges once: the directory, or of nginx the URLs from one number to another.
    pub fn purge(&self, from: u64, to: u64) -> anyhow::Result<()> {
        match self {
            Way::Freshen(freshen) => {
                let directory = format!("http://{HOST}{PREFIX}");
                freshen.client(&["purge", "--dir", &directory]).map(drop)
            }
            Way::Varnish(others) => {
                let mut command = Command::new("varnishadm");
                command.arg("-n").arg(&others.varnish_folder);
                command.args(["ban", "obj.http.x-url", "~", &format!("^{PREFIX}")]);
                let output = command.output()?;
                ensure!(output.status.success(), "varnishadm: {}", String::from_utf8_lossy(&output.stderr));
                Ok(())
            }
            Way::Nginx(port) => ask_for_each(*port, &format!("/purge{PREFIX}"), from, to),
        }
    }
}
