//! The origin, and three nginx caches, all one nginx.

use crate::bench::process::{Process, empty, on_any_core};
use crate::bench::sides::{free_port, listens};
use anyhow::ensure;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub struct Site {
    pub origin_port: u16,
    folder: PathBuf,
    caches: [u16; 3],
    nginx: Option<Process>,
}

impl Site {
    /// With a large file of so many bytes.
    pub fn make(folder: &Path, large_bytes: u64) -> anyhow::Result<Site> {
        let site = folder.join("site");
        fs::create_dir_all(&site)?;
        for (name, size) in [("1k.bin", 1 << 10), ("1m.bin", 1 << 20)] {
            fs::write(site.join(name), content(size))?;
        }
        let mut large = File::create(site.join("large.bin"))?;
        let piece = content(1 << 20);
        for at in (0..large_bytes).step_by(piece.len()) {
            large.write_all(&piece[..piece.len().min((large_bytes - at) as usize)])?;
        }
        large.sync_all()?;
        let caches = [free_port()?, free_port()?, free_port()?];
        Ok(Site { origin_port: free_port()?, folder: folder.to_owned(), caches, nginx: None })
    }

    /// Starts it anew, with empty caches before `upstream`, a port.
    pub fn start(&mut self, root: &Path, upstream: u16) -> anyhow::Result<()> {
        self.nginx = None;
        for folder in ["cache-1", "cache-2", "cache-3", "nginx-temp"] {
            let folder = self.folder.join(folder);
            empty(&folder)?;
            fs::create_dir_all(folder)?;
        }
        let mut text = fs::read_to_string(root.join("bench/prefetch.conf"))?;
        let user = String::from_utf8(Command::new("id").arg("-un").output()?.stdout)?;
        let [one, two, three] = self.caches;
        for (word, value) in [
            ("@user@", user.trim().to_owned()),
            ("@folder@", self.folder.display().to_string()),
            ("@origin@", self.origin_port.to_string()),
            ("@upstream@", upstream.to_string()),
            ("@cache_1@", one.to_string()),
            ("@cache_2@", two.to_string()),
            ("@cache_3@", three.to_string()),
        ] {
            text = text.replace(word, &value);
        }
        let path = self.folder.join("prefetch.conf");
        fs::write(&path, text)?;
        let mut command = on_any_core("nginx");
        let mut nginx = Process::start(command.arg("-c").arg(path), self.folder.join("nginx.out"))?;
        let port = self.origin_port;
        nginx.wait_until(|| listens(port))?;
        self.nginx = Some(nginx);
        Ok(())
    }

    /// A shell's loop of curl over the three caches.
    pub fn loop_of_curl(&self, path: &str) -> anyhow::Result<Duration> {
        let ports = self.caches.map(|port| port.to_string()).join(" ");
        shell(&format!("for port in {ports}; do curl -sf http://127.0.0.1:$port{path} -o /dev/null; done"))
    }

    /// The bare transfer of all, once, to nowhere.
    pub fn bare(&self, port: u16, path: &str) -> anyhow::Result<Duration> {
        shell(&format!("curl -sf http://127.0.0.1:{port}{path} -o /dev/null"))
    }

    /// The same piped by tee into three files, and synced.
    pub fn tee(&self, path: &str) -> anyhow::Result<Duration> {
        let port = self.origin_port;
        let files = ["a", "b", "c"].map(|name| self.folder.join(name));
        let [a, b, c] = files.each_ref().map(|file| file.display());
        let piped = format!("curl -sf http://127.0.0.1:{port}{path} | tee {a} {b} > {c} && sync {a} {b} {c}");
        let took = shell(&piped)?;
        for file in &files {
            File::create(file)?;
        }
        Ok(took)
    }
}

fn content(size: usize) -> Vec<u8> {
    // Nothing that a disk could make smaller.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

fn shell(script: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let output = Command::new("bash").args(["-o", "pipefail", "-c", script]).output()?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(began.elapsed())
}
