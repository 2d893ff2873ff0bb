//! The sides that are compared, and the origin behind them.

use super::freshen::Freshen;
use super::get;
use super::load::{HOST, Transport};
use super::process::{LOAD_CORE, Process, SERVER_CORE, on_core};
use anyhow::{Context as _, ensure};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Varnish's parameters: one pool of threads, each of the default size, and nothing written to its log.
const VARNISH: &[&str] = &["-j", "none", "-F", "-p", "thread_pools=1", "-p"];
/// All that Varnish would write to its log for a hit, a miss and a connection.
const VARNISH_LOG: &str = "vsl_mask=-Begin,-End,-Link,-ReqStart,-ReqMethod,-ReqURL,-ReqProtocol,-ReqHeader,-ReqUnset,\
    -RespProtocol,-RespStatus,-RespReason,-RespHeader,-RespUnset,-Timestamp,-ReqAcct,-VCL_call,-VCL_return,-VCL_use,\
    -Hit,-SessOpen,-SessClose,-Length,-Filters,-BereqMethod,-BereqURL,-BereqProtocol,-BereqHeader,-BereqUnset,\
    -BerespProtocol,-BerespStatus,-BerespReason,-BerespHeader,-BerespUnset,-BereqAcct,-BackendStart,-BackendOpen,\
    -BackendClose,-BackendReuse,-Storage,-Fetch_Body,-TTL";

/// Something that answers the same requests as the others.
pub struct Side<'a> {
    /// Its name in the tables.
    pub name: String,
    pub port: u16,
    pub tls_port: Option<u16>,
    pub process: &'a Process,
    counter: Counter<'a>,
}

/// Where a side says how many hits it has served.
enum Counter<'a> {
    /// nginx counts requests; what did not reach the origin of them came from its cache.
    Nginx(u16),
    Varnish(&'a Path),
    /// The port of the POP's metrics.
    Freshen(u16),
}

impl Side<'_> {
    /// Where it is reached in that way, if it can be.
    pub fn port(&self, transport: Transport) -> Option<u16> {
        if transport == Transport::Plain { Some(self.port) } else { self.tls_port }
    }

    /// Hits so far, by its own counter.
    pub fn hits(&self) -> anyhow::Result<u64> {
        match &self.counter {
            Counter::Nginx(port) => stub_status(*port),
            Counter::Freshen(port) => metric(*port, "freshen_pop_answers_total{x_cache=\"HIT\"}"),
            Counter::Varnish(folder) => {
                let output = Command::new("varnishstat")
                    .args(["-1", "-f", "MAIN.cache_hit", "-n"])
                    .arg(folder)
                    .output()?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                Ok(text.split_whitespace().nth(1).context("varnishstat says nothing")?.parse()?)
            }
        }
    }
}

/// The origin, nginx and Varnish.
pub struct Others {
    pub origin_port: u16,
    _origin: Process,
    nginx: Process,
    varnish: Process,
    ports: Ports,
    /// Where `varnishadm` and `varnishstat` find Varnish.
    pub varnish_folder: PathBuf,
}

struct Ports {
    sendfile_on: u16,
    sendfile_on_tls: u16,
    sendfile_off: u16,
    sendfile_off_tls: u16,
    varnish: u16,
}

/// Which of the configurations in `bench/` they get.
pub struct Setup {
    pub nginx: &'static str,
    pub varnish: &'static str,
    /// Varnish's memory for objects.
    pub memory: &'static str,
}

impl Others {
    /// Starts them as caches, all their files in `scratch`.
    pub fn start(root: &Path, scratch: &Path) -> anyhow::Result<Others> {
        let setup = Setup { nginx: "nginx.conf", varnish: "default.vcl", memory: "2g" };
        Others::start_with(root, scratch, &setup)
    }

    /// Starts them with those configurations.
    pub fn start_with(root: &Path, scratch: &Path, setup: &Setup) -> anyhow::Result<Others> {
        let site = scratch.join("site");
        fs::create_dir_all(&site)?;
        for folder in ["origin-temp", "nginx-temp", "nginx-cache"] {
            fs::create_dir_all(scratch.join(folder))?;
        }
        for (name, size) in [("1k.bin", 1 << 10), ("64k.bin", 64 << 10), ("1m.bin", 1 << 20)] {
            fs::write(site.join(name), (0..size).map(|at: u32| (at % 251) as u8).collect::<Vec<_>>())?;
        }
        let (key, certificate) = certificate(scratch);
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ]);
        openssl.args(["-subj", &format!("/CN={HOST}"), "-addext", &format!("subjectAltName=DNS:{HOST}")]);
        let made = openssl.arg("-keyout").arg(key).arg("-out").arg(certificate).output()?;
        ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));

        let ports = Ports {
            sendfile_on: free_port()?,
            sendfile_on_tls: free_port()?,
            sendfile_off: free_port()?,
            sendfile_off_tls: free_port()?,
            varnish: free_port()?,
        };
        let origin_port = free_port()?;
        let fill_in = |name: &str| -> anyhow::Result<PathBuf> {
            let mut text = fs::read_to_string(root.join("bench").join(name))?;
            let user = String::from_utf8(Command::new("id").arg("-un").output()?.stdout)?;
            for (word, value) in [
                ("@user@", user.trim().to_owned()),
                ("@folder@", scratch.display().to_string()),
                ("@origin@", origin_port.to_string()),
                ("@sendfile_on@", ports.sendfile_on.to_string()),
                ("@sendfile_on_tls@", ports.sendfile_on_tls.to_string()),
                ("@sendfile_off@", ports.sendfile_off.to_string()),
                ("@sendfile_off_tls@", ports.sendfile_off_tls.to_string()),
            ] {
                text = text.replace(word, &value);
            }
            let path = scratch.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };

        let mut command = on_core(LOAD_CORE, "nginx");
        let mut origin =
            Process::start(command.arg("-c").arg(fill_in("origin.conf")?), scratch.join("origin.out"))?;
        origin.wait_until(|| listens(origin_port))?;

        let mut command = on_core(SERVER_CORE, "nginx");
        let mut nginx =
            Process::start(command.arg("-c").arg(fill_in(setup.nginx)?), scratch.join("nginx.out"))?;
        nginx.wait_until(|| listens(ports.sendfile_on))?;

        let varnish_folder = scratch.join("varnish");
        let mut command = on_core(SERVER_CORE, "varnishd");
        command
            .args(VARNISH)
            .arg(VARNISH_LOG)
            .args(["-s", &format!("malloc,{}", setup.memory), "-a"])
            .arg(format!("127.0.0.1:{}", ports.varnish));
        command.arg("-n").arg(&varnish_folder).arg("-f").arg(fill_in(setup.varnish)?);
        let mut varnish = Process::start(&mut command, scratch.join("varnish.out"))?;
        varnish.wait_until(|| listens(ports.varnish))?;
        Ok(Others { origin_port, _origin: origin, nginx, varnish, ports, varnish_folder })
    }

    /// Requests that reached the origin, this question among them.
    pub fn origin_requests(&self) -> anyhow::Result<u64> {
        stub_status(self.origin_port)
    }

    pub fn nginx(&self) -> Side<'_> {
        self.nginx_with("nginx, sendfile on", self.ports.sendfile_on, self.ports.sendfile_on_tls)
    }

    pub fn nginx_without_sendfile(&self) -> Side<'_> {
        self.nginx_with("nginx, sendfile off", self.ports.sendfile_off, self.ports.sendfile_off_tls)
    }

    fn nginx_with(&self, name: &str, port: u16, tls_port: u16) -> Side<'_> {
        let counter = Counter::Nginx(self.ports.sendfile_on);
        Side { name: name.to_owned(), port, tls_port: Some(tls_port), process: &self.nginx, counter }
    }

    /// Varnish, which leaves TLS to others.
    pub fn varnish(&self) -> Side<'_> {
        let counter = Counter::Varnish(&self.varnish_folder);
        let port = self.ports.varnish;
        Side { name: "Varnish".to_owned(), port, tls_port: None, process: &self.varnish, counter }
    }
}

impl Freshen {
    /// Its POP as one of the sides.
    pub fn side(&self, name: &str) -> anyhow::Result<Side<'_>> {
        let process = self.pop.as_ref().context("the POP does not run")?;
        let counter = Counter::Freshen(self.admin_port);
        Ok(Side { name: name.to_owned(), port: self.port, tls_port: self.tls_port, process, counter })
    }
}

/// Key and certificate of all who speak TLS.
pub fn certificate(scratch: &Path) -> (PathBuf, PathBuf) {
    (scratch.join("key.pem"), scratch.join("cert.pem"))
}

/// One value of a POP's metrics; 0 where it does not tell it yet.
pub fn metric(admin_port: u16, name: &str) -> anyhow::Result<u64> {
    Ok(metric_value(admin_port, name)? as u64)
}

/// The same with its fraction.
pub fn metric_value(admin_port: u16, name: &str) -> anyhow::Result<f64> {
    let (_, text) = get::whole(admin_port, "localhost", "/-/metrics")?;
    let text = String::from_utf8(text)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.map_or(Ok(0.0), str::parse)?)
}

/// The third number in the third line of nginx's `stub_status` are requests.
fn stub_status(port: u16) -> anyhow::Result<u64> {
    let (_, text) = get::whole(port, "localhost", "/stub_status")?;
    let text = String::from_utf8(text)?;
    let requests = text.lines().nth(2).and_then(|line| line.split_whitespace().nth(2));
    Ok(requests.context("no stub_status")?.parse()?)
}

/// A port of loopback that is free now.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

pub fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
