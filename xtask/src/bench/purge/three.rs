//! Three POPs, control and an origin, a process each, on all cores: the demo.

use crate::bench::freshen::{freshen, lift_limits};
use crate::bench::get;
use crate::bench::process::{Process, on_any_core};
use crate::bench::sides::metric;
use anyhow::Context as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// The domain, whose origin makes /freshen-probe anew each time.
pub const DOMAIN: &str = "demo.localhost";

pub struct Three {
    program: PathBuf,
    pub data: PathBuf,
    base: u16,
    demo: Process,
}

impl Three {
    /// Starts it in `folder`, with quotas that are in nobody's way.
    pub fn start(program: &Path, folder: &Path) -> anyhow::Result<Three> {
        let data = folder.join("demo");
        let base = free_ports()?;
        let mut command = on_any_core(program.to_str().context("the program's path is UTF-8")?);
        command.args(["demo", "--no-restart", "--port-base", &base.to_string(), "--data"]).arg(&data);
        let mut demo = Process::start(&mut command, folder.join("demo.log"))?;
        let ready = |port: u16| {
            get::whole(port, "localhost", "/-/ready").is_ok_and(|(head, _)| get::status(&head) == "200")
        };
        demo.wait_until(|| ready(base) && (5..8).all(|pop| ready(base + pop)))?;
        lift_limits(program, &data, "demo")?;
        Ok(Three { program: program.to_owned(), data, base, demo })
    }

    /// Waits until each POP was told of the two others.
    pub fn know_each_other(&mut self) -> anyhow::Result<()> {
        let base = self.base;
        let told = |pop: u16| metric(base + pop, "freshen_pop_peers").is_ok_and(|peers| peers == 2);
        self.demo.wait_until(|| (5..8).all(told)).map(drop)
    }

    /// The most memory that any of its processes has had, resident, bytes.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        self.demo.peak_rss_bytes()
    }

    /// A client command, as the demo's admin; gives its standard output.
    pub fn client(&self, arguments: &[&str]) -> anyhow::Result<String> {
        freshen(&self.program, &self.data, arguments)
    }
}

/// A first port such that the demo's are free.
fn free_ports() -> anyhow::Result<u16> {
    let free = |base: &u16| (0..=10).all(|offset| TcpListener::bind(("127.0.0.1", base + offset)).is_ok());
    (20_000..30_000).step_by(20).find(free).context("no ports are free for a demo")
}
