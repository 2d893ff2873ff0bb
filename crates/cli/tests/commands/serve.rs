//! `freshen serve` before the reader's own site: accounts, keys, domains, and what each may.

use crate::command::{Ended, freshen, run};
use crate::ports::Ports;
use crate::process::{Process, asked_until};
use crate::viewer::Viewer;
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// An origin and an installation of control and one POP.
struct Site {
    ports: Ports,
    folder: TempDir,
    origin: Child,
    serve: Child,
}

/// Offsets of the ports.
const CONTROL: u16 = 0;
const VIEWERS: u16 = 1;
const FLEET: u16 = 2;
const ADMIN: u16 = 3;
const ORIGIN: u16 = 4;

impl Site {
    async fn start() -> Site {
        let (ports, folder) = (Ports::claim(), tempfile::tempdir().unwrap());
        let files = folder.path().join("files");
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("a.txt"), "old").unwrap();
        let origin = Command::new(env!("CARGO_BIN_EXE_freshen"))
            .args(["demo-origin", "--listen", &ports.at(ORIGIN), "--dir"])
            .arg(&files)
            .spawn()
            .unwrap();
        let serve = serve(&ports, &folder);
        let site = Site { ports, folder, origin, serve };
        site.ready().await;
        site
    }

    async fn ready(&self) {
        for port in [CONTROL, ADMIN] {
            asked_until("the installation is ready", async || {
                let ready = Viewer::of(self.ports.at(port)).try_get("machine/-/ready").await?;
                (ready.status == 200).then_some(())
            })
            .await;
        }
        asked_until("the origin listens", async || {
            Viewer::of(self.ports.at(ORIGIN)).try_get("origin/a.txt").await.map(drop)
        })
        .await;
    }

    /// Ended by a signal, and started with the same data.
    async fn start_again(&mut self, signal: Signal) {
        Process::of(self.serve.id()).signal(signal);
        let ended = self.serve.wait().unwrap();
        assert_eq!(ended.success(), signal == Signal::TERM, "{ended}");
        self.serve = serve(&self.ports, &self.folder);
        self.ready().await;
    }

    fn client_file(&self) -> PathBuf {
        self.folder.path().join("data/client.toml")
    }

    fn origin_url(&self) -> String {
        format!("http://{}", self.ports.at(ORIGIN))
    }

    fn viewer(&self) -> Viewer {
        Viewer::of(self.ports.at(VIEWERS))
    }

    /// A command of the admin.
    async fn admin(&self, arguments: &[&str]) -> Ended {
        let file = self.client_file();
        run(freshen(&[arguments, &["--config", file.to_str().unwrap()]].concat())).await
    }

    /// A new account with a domain of its own, and a key.
    async fn add_customer(&self, account: &str, domain: &str) -> Customer {
        self.admin(&["account", "add", account]).await.with(0);
        let key = self.admin(&["key", "add", "--account", account, "--json"]).await.with(0).json();
        let origin = self.origin_url();
        self.admin(&["domain", "add", domain, "--account", account, "--origin", &origin]).await.with(0);
        self.caught_up().await;
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        Customer { id: text("id"), secret: text("secret") }
    }

    async fn run_as(&self, customer: &Customer, arguments: &[&str]) -> Ended {
        let endpoint = format!("http://{}", self.ports.at(CONTROL));
        let who = [
            "--endpoint",
            &endpoint,
            "--access-key-id",
            &customer.id,
            "--access-key-secret",
            &customer.secret,
        ];
        run(freshen(&[arguments, &who].concat())).await
    }

    /// Waits until the POP has applied all that is in the log.
    async fn caught_up(&self) {
        asked_until("the POP is caught up", async || {
            let list = self.admin(&["pop", "list", "--json"]).await.with(0).json();
            (list["pops"][0]["lag"] == 0).then_some(())
        })
        .await;
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for process in [&mut self.serve, &mut self.origin] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

struct Customer {
    id: String,
    secret: String,
}

fn serve(ports: &Ports, folder: &TempDir) -> Child {
    Command::new(env!("CARGO_BIN_EXE_freshen"))
        .args(["serve", "--listen", &ports.at(VIEWERS), "--control-listen", &ports.at(CONTROL)])
        .args(["--fleet-listen", &ports.at(FLEET), "--admin-listen", &ports.at(ADMIN), "--data"])
        .arg(folder.path().join("data"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_site_of_ones_own_is_served_and_purged() {
    let site = Site::start().await;
    let mode = std::fs::metadata(site.client_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the admin's secret is for its owner's eyes only");
    let shop = site.add_customer("shop", "shop.example").await;
    let viewer = site.viewer();
    assert_eq!(viewer.get("shop.example/a.txt").await.both(), ("MISS", "old"));
    assert_eq!(viewer.get("shop.example/a.txt").await.both(), ("HIT", "old"));
    std::fs::write(site.folder.path().join("files/a.txt"), "new").unwrap();
    assert_eq!(viewer.get("shop.example/a.txt").await.both(), ("HIT", "old"));
    site.run_as(&shop, &["purge", "--wait", "http://shop.example/a.txt"]).await.with(0);
    assert_eq!(viewer.get("shop.example/a.txt").await.text(), "new");
    let listed = site.run_as(&shop, &["domain", "list"]).await.with(0).stdout;
    assert!(listed.contains("shop.example") && listed.contains(&site.ports.at(ORIGIN)), "{listed}");
}

#[tokio::test]
async fn p8_a_key_reaches_only_its_account() {
    let site = Site::start().await;
    let shop = site.add_customer("shop", "shop.example").await;
    let film = site.add_customer("film", "film.example").await;
    site.viewer().get("film.example/a.txt").await;
    for arguments in [
        &["purge", "http://film.example/a.txt"][..],
        &["purge", "--dir", "http://film.example/"],
        &["prefetch", "http://film.example/a.txt"],
    ] {
        let refused = site.run_as(&shop, arguments).await.with(2);
        let told = "line 1: film.example is not a domain of this account";
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    let origin = site.origin_url();
    for arguments in [
        &["check", "http://film.example/a.txt"][..],
        &["domain", "remove", "film.example"],
        &["domain", "set", "film.example", "--origin", &origin],
        &["domain", "add", "more.example", "--origin", &origin],
        &["domain", "set", "shop.example", "--origin", "http://127.0.0.1:1"],
        &["account", "add", "other"],
        &["account", "limits", "shop", "--url", "9999"],
        &["key", "add", "--account", "film"],
        &["key", "disable", &film.id],
        &["pop", "remove", "pop-1"],
    ] {
        site.run_as(&shop, arguments).await.with(2);
    }
    let task =
        site.run_as(&film, &["purge", "--wait", "--json", "http://film.example/x"]).await.with(0).json();
    site.run_as(&shop, &["task", "show", task["id"].as_str().unwrap()]).await.with(2);
    let tasks = site.run_as(&shop, &["task", "list", "--json"]).await.with(0).json();
    assert_eq!(tasks["tasks"], serde_json::json!([]));
    let domains = site.run_as(&shop, &["domain", "list"]).await.with(0).stdout;
    assert!(!domains.contains("film.example"), "{domains}");
    assert_eq!(site.viewer().get("film.example/a.txt").await.x_cache(), Some("HIT"));
}

#[tokio::test]
async fn a_certificate_is_set_shown_and_taken_away_by_command() {
    let site = Site::start().await;
    let shop = site.add_customer("shop", "shop.example").await;
    let file = |name: &str| site.folder.path().join(name).to_str().unwrap().to_owned();
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    std::fs::write(file("shop.crt"), made.cert.pem()).unwrap();
    std::fs::write(file("shop.key"), made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (file("shop.crt"), file("shop.key"));
    let set = ["domain", "certificate", "shop.example", "--certificate", &certificate, "--key"];
    let said = site.run_as(&shop, &[&set[..], &[&key]].concat()).await.with(0).stdout;
    assert!(said.contains("names   shop.example") && said.contains("until   40"), "{said}");
    let show = ["domain", "certificate", "shop.example"];
    assert_eq!(site.run_as(&shop, &show).await.with(0).stdout, said);
    let refused = site.run_as(&shop, &[&set[..], &[&certificate]].concat()).await.with(2).stderr;
    assert!(refused.contains("key: ") && refused.contains("one private key"), "{refused}");
    site.run_as(&shop, &[&show[..], &["--remove"]].concat()).await.with(0);
    let gone = site.run_as(&shop, &show).await.with(2).stderr;
    assert!(gone.contains("no certificate of"), "{gone}");
    let pops = site.run_as(&shop, &["pop", "list"]).await.with(0).stdout;
    assert!(pops.contains("connected,") && pops.contains("control's pin: "), "{pops}");
}

#[tokio::test]
async fn p8_a_disabled_key_is_refused() {
    let site = Site::start().await;
    let shop = site.add_customer("shop", "shop.example").await;
    site.run_as(&shop, &["quota"]).await.with(0);
    site.admin(&["key", "disable", &shop.id]).await.with(0);
    let refused = site.run_as(&shop, &["purge", "http://shop.example/a.txt"]).await.with(2);
    assert!(refused.stderr.contains("disabled"), "{}", refused.stderr);
}

#[tokio::test]
async fn p8_a_removed_domain_is_unknown() {
    let site = Site::start().await;
    let shop = site.add_customer("shop", "shop.example").await;
    site.viewer().get("shop.example/a.txt").await;
    site.run_as(&shop, &["domain", "remove", "shop.example"]).await.with(0);
    site.caught_up().await;
    let got = site.viewer().get("shop.example/a.txt").await;
    assert_eq!((got.status.as_u16(), got.x_cache()), (404, None));
    site.run_as(&shop, &["purge", "http://shop.example/a.txt"]).await.with(2);
}

#[tokio::test]
async fn settings_change_while_it_runs() {
    let site = Site::start().await;
    let shop = site.add_customer("shop", "shop.example").await;
    let viewer = site.viewer();
    assert_eq!(viewer.get("shop.example/a.txt?1").await.x_cache(), Some("MISS"));
    assert_eq!(viewer.get("shop.example/a.txt?2").await.x_cache(), Some("MISS"));
    site.run_as(&shop, &["domain", "set", "shop.example", "--query", "ignore"]).await.with(0);
    site.caught_up().await;
    viewer.get("shop.example/a.txt?3").await;
    assert_eq!(viewer.get("shop.example/a.txt?4").await.x_cache(), Some("HIT"));
    let refused = site.admin(&["domain", "add", "bad.example", "--origin", "ftp://x"]).await.with(2);
    assert!(refused.stderr.contains("--origin"), "{}", refused.stderr);
    site.admin(&["domain", "add", "shop.example", "--origin", "http://127.0.0.1:1"]).await.with(2);
}

#[tokio::test]
async fn everything_outlives_a_restart() {
    let mut site = Site::start().await;
    let shop = site.add_customer("shop", "shop.example").await;
    site.viewer().get("shop.example/a.txt").await;
    let task =
        site.run_as(&shop, &["purge", "--wait", "--json", "http://shop.example/x"]).await.with(0).json();
    let id = task["id"].as_str().unwrap();
    let client = std::fs::read(site.client_file()).unwrap();
    for signal in [Signal::TERM, Signal::KILL] {
        site.start_again(signal).await;
        assert_eq!(site.viewer().get("shop.example/a.txt").await.both(), ("HIT", "old"));
        assert_eq!(
            site.run_as(&shop, &["task", "show", "--json", id]).await.with(0).json()["status"],
            "complete"
        );
        let quota = site.run_as(&shop, &["quota", "--json"]).await.with(0).json();
        assert_eq!(quota["quotas"][0]["used"], 1);
        assert_eq!(std::fs::read(site.client_file()).unwrap(), client, "the admin's key is still that one");
        site.admin(&["account", "list"]).await.with(0);
    }
}
