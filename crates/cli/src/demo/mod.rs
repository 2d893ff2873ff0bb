//! `freshen demo`: a whole installation on this machine, each part a process of its own.

pub mod origin;
pub mod parent;
pub mod site;
pub mod supervisor;

use crate::client::ClientConfig;
use crate::say::say;
use crate::{bootstrap, config_file, roles};
use anyhow::Context;
use freshen_model::area::Area;
use freshen_model::domain::{Origin, Settings};
use freshen_model::ids::PopId;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use supervisor::{Event, Part, ReadyProbe};
use tokio::sync::mpsc;

/// What `freshen demo` may be told.
#[derive(clap::Args)]
pub struct Options {
    /// The first port: control there, viewers at the next three, the origin ten above, and behind it where the POPs
    /// answer each other.
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65_515))]
    port_base: u16,
    /// Keep state, configurations and logs here; without it they go with the demo.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Serve these files instead of the sample site.
    #[arg(long)]
    origin_dir: Option<PathBuf>,
    /// Leave a part that dies down.
    #[arg(long)]
    no_restart: bool,
}

const ACCOUNT: &str = "demo";
const KEY: (&str, &str) = ("demo", "demo-secret");
/// Who signs in to the demo's console.
const USER: &str = "demo";
/// How long the link that signs in is good; the demo may take some time to start.
const LINK_LIFETIME: Duration = Duration::from_secs(15 * 60);
const DOMAIN: &str = "demo.localhost";
const ALIAS: &str = "alias.localhost";
const POPS: [(&str, Area, &str); 3] = [
    ("pop-asia", Area::Domestic, "asia"),
    ("pop-europe", Area::Overseas, "europe"),
    ("pop-america", Area::Overseas, "america"),
];

/// The demo's ports, as the README tells them.
#[derive(Clone, Copy)]
struct Ports {
    base: u16,
}

impl Ports {
    fn control(self) -> u16 {
        self.base
    }

    fn viewers(self, pop: usize) -> u16 {
        self.base + 1 + pop as u16
    }

    fn fleet(self) -> u16 {
        self.base + 4
    }

    fn admin(self, pop: usize) -> u16 {
        self.base + 5 + pop as u16
    }

    fn origin(self) -> u16 {
        self.base + 10
    }

    fn peers(self, pop: usize) -> u16 {
        self.base + 11 + pop as u16
    }

    fn all(self) -> impl Iterator<Item = u16> {
        (0..POPS.len()).flat_map(move |pop| [self.viewers(pop), self.admin(pop), self.peers(pop)]).chain([
            self.control(),
            self.fleet(),
            self.origin(),
        ])
    }
}

/// Runs the demo until Ctrl-C.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let ports = Ports { base: options.port_base };
    refuse_taken_ports(ports)?;
    let stop = supervisor::stop_signal()?;
    let temporary = options.data.is_none().then(tempfile::tempdir).transpose()?;
    let data = match (&options.data, &temporary) {
        (Some(data), _) => data.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => anyhow::bail!("no data folder"),
    };
    std::fs::create_dir_all(data.join("logs")).with_context(|| format!("cannot make {}", data.display()))?;
    let data = data.canonicalize()?;
    let site = match options.origin_dir {
        Some(site) => site.canonicalize().with_context(|| format!("cannot find {}", site.display()))?,
        None => {
            let site = data.join("site");
            std::fs::create_dir_all(&site)?;
            site::generate(&site)?;
            site
        }
    };
    say("Starting an origin, control and three POPs …");
    let entry = set_up(&data, ports).await?;
    let parts = parts(&data, &site, ports)?;
    let settings =
        supervisor::Settings { restart: !options.no_restart, ..supervisor::Settings::new(data.join("logs")) };
    let (events, mut happened) = mpsc::unbounded_channel();
    let told = parts.clone();
    let kept = options.data.is_some();
    let telling = async move {
        while let Some(event) = happened.recv().await {
            match event {
                Event::AllReady => print_welcome(&told, ports, (&data, kept), &entry),
                Event::Ready { .. } => {}
                event => say(&event.to_string()),
            }
        }
    };
    let (ran, ()) = tokio::join!(supervisor::run(parts, settings, stop, events), telling);
    say("Stopped.");
    ran
}

/// Runs the demo's origin alone.
pub async fn run_origin(listen: String, dir: PathBuf) -> anyhow::Result<()> {
    let listener = roles::listen(&listen, "the origin's listener").await?;
    origin::serve(listener, dir).await
}

/// A stranger on one of the ports would pass for a part that is ready.
fn refuse_taken_ports(ports: Ports) -> anyhow::Result<()> {
    for port in ports.all() {
        TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            format!(
                "port {port} is taken; choose others, for instance `freshen demo --port-base {}`",
                port_beside(ports)
            )
        })?;
    }
    Ok(())
}

fn port_beside(ports: Ports) -> u16 {
    if ports.base < 60_000 { ports.base + 1_000 } else { 8_080 }
}

/// How a person gets into the console; both are new with each start.
struct Entry {
    password: String,
    /// Of a link that signs in once.
    token: String,
}

/// Account, key, person, POPs, domains, and each part's configuration.
async fn set_up(data: &Path, ports: Ports) -> anyhow::Result<Entry> {
    let at = |port: u16| format!("127.0.0.1:{port}");
    let control_file = data.join("control.toml");
    let mut config = match control_file.exists() {
        true => config_file::read(&control_file)?,
        false => freshen_control::Config { data: "control".into(), ..Default::default() },
    };
    config.listen = at(ports.control());
    config.fleet_listen = at(ports.fleet());
    config_file::write(&control_file, "The configuration of the demo's control process.", &config)?;
    config.data = config_file::beside(&control_file, &config.data);
    let control = roles::control::open(&config).await?;
    bootstrap::admin(&control, ACCOUNT, || Ok((KEY.0.to_owned(), KEY.1.to_owned()))).await?;
    // A password that everybody knows would let in any page that a browser here shows.
    let password = bootstrap::person(&control, USER, ACCOUNT).await?;
    let entry = Entry { password, token: control.make_sign_in_link(USER, LINK_LIFETIME).await? };
    for (place, (id, area, region)) in POPS.into_iter().enumerate() {
        let file = data.join(format!("{id}.toml"));
        let name: PopId = id.parse()?;
        let (listen, admin) = (at(ports.viewers(place)), at(ports.admin(place)));
        let make = |token| {
            freshen_pop::Config::new(
                name.clone(),
                id.into(),
                listen.clone(),
                admin.clone(),
                at(ports.fleet()),
                token,
            )
        };
        bootstrap::pop(&control, &file, &name, area, region, make).await?;
        let mut pop: freshen_pop::Config = config_file::read(&file)?;
        (pop.listen, pop.admin_listen, pop.control) = (listen.clone(), admin.clone(), at(ports.fleet()));
        pop.peer_listen = Some(at(ports.peers(place)));
        config_file::write(&file, "The configuration of one of the demo's POPs.", &pop)?;
    }
    let origin: Origin = format!("http://{}", at(ports.origin())).parse()?;
    let own = Settings::of_origin(origin);
    bootstrap::domain(&control, ACCOUNT, DOMAIN, &own).await?;
    let shared = Settings { share_cache: Some(DOMAIN.into()), ..own };
    bootstrap::domain(&control, ACCOUNT, ALIAS, &shared).await?;
    control.stop().await;
    let viewers = POPS
        .iter()
        .zip(0..)
        .map(|((id, ..), place)| Ok::<_, anyhow::Error>((id.parse()?, at(ports.viewers(place)))));
    let (access_key_id, access_key_secret) = (KEY.0.to_owned(), KEY.1.to_owned());
    let client = ClientConfig {
        endpoint: format!("http://{}", at(ports.control())),
        access_key_id,
        access_key_secret,
        viewers: viewers.collect::<Result<_, _>>()?,
    };
    config_file::write(&data.join("client.toml"), "How client commands reach the demo.", &client)?;
    Ok(entry)
}

fn parts(data: &Path, site: &Path, ports: Ports) -> anyhow::Result<Vec<Part>> {
    let program = std::env::current_exe()?;
    let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let part = |name: &str, args: Vec<OsString>, ready: ReadyProbe| Part {
        name: name.to_owned(),
        program: program.clone(),
        args,
        ready,
    };
    let configured = |role: &str, file: &str| vec![role.into(), "--config".into(), data.join(file).into()];
    let origin = vec![
        "demo-origin".into(),
        "--listen".into(),
        local(ports.origin()).to_string().into(),
        "--dir".into(),
        site.as_os_str().to_owned(),
    ];
    let mut parts = vec![
        part("origin", origin, ReadyProbe::Tcp(local(ports.origin()))),
        part("control", configured("control", "control.toml"), ReadyProbe::Http(local(ports.control()))),
    ];
    for (place, (id, ..)) in POPS.into_iter().enumerate() {
        let ready = ReadyProbe::Http(local(ports.admin(place)));
        parts.push(part(id, configured("pop", &format!("{id}.toml")), ready));
    }
    Ok(parts)
}

fn print_welcome(parts: &[Part], ports: Ports, (data, kept): (&Path, bool), entry: &Entry) {
    let (control, asia, europe) = (ports.control(), ports.viewers(0), ports.viewers(1));
    let origin = ports.origin();
    let endpoint =
        if control == 8080 { String::new() } else { format!(" --endpoint http://127.0.0.1:{control}") };
    say(&format!(
        "
Freshen runs. Viewers are served by
  pop-asia     http://{DOMAIN}:{asia}/     (area domestic)
  pop-europe   http://{DOMAIN}:{europe}/     (area overseas)
  pop-america  http://{DOMAIN}:{}/     (area overseas)
control is at http://127.0.0.1:{control}/, the origin at http://127.0.0.1:{origin}/

The console: http://127.0.0.1:{control}/ui/enter?token={}
  signs in once, within 15 minutes; later at http://127.0.0.1:{control}/ui/ as {USER}, password {}

Try, in another terminal:
  curl -I http://{DOMAIN}:{asia}/a.txt              MISS, and HIT the second time
  export FRESHEN_ACCESS_KEY_ID={} FRESHEN_ACCESS_KEY_SECRET={}
  freshen purge --wait http://{DOMAIN}/a.txt{endpoint}
  freshen prefetch --wait http://{DOMAIN}/install/package.zip{endpoint}
  freshen check http://{DOMAIN}/install/package.zip{endpoint}
  (freshen is {})

State {} in {}. One part alone:",
        ports.viewers(2),
        entry.token,
        entry.password,
        KEY.0,
        KEY.1,
        std::env::current_exe().unwrap_or_default().display(),
        if kept { "is kept" } else { "is kept until the demo stops" },
        data.display(),
    ));
    for part in parts {
        say(&format!("  {}", part.command_line()));
    }
    say("\nCtrl-C stops all.");
}
