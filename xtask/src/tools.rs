//! The programs the tasks call: how they are run, and how they are installed when missing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Pinned, so that its opinion changes with a commit here and not with a release there.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// The workspace that holds this package, wherever it has been cloned to.
pub fn workspace_root() -> anyhow::Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    Ok(Path::new(&package).parent().context("the workspace is the folder above xtask")?.to_path_buf())
}

/// Where cargo builds.
pub fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target))
}

/// A cargo command in the workspace's root.
pub fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root);
    // Set by the `cargo run` this came from; a build script that watches one of them would run again each time.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// Prints the command and runs it; an error when it cannot be started or fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("{shown}: cannot be started"))?;
    anyhow::ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

/// Whether the command can be started and succeeds; says nothing.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Makes sure of a cargo subcommand that comes with the toolchain, but not with each installation of it.
pub fn rustup_component(subcommand: &str, component: &str) -> anyhow::Result<()> {
    if succeeds(Command::new("cargo").args([subcommand, "--version"])) {
        return Ok(());
    }
    run(Command::new("rustup").args(["component", "add", component]))
        .with_context(|| format!("`cargo {subcommand}` is missing; type: rustup component add {component}"))
}

/// The path of cargo-deny, built into the target folder (about four minutes of one core) when it is not installed.
pub fn cargo_deny(root: &Path) -> anyhow::Result<PathBuf> {
    let installed = PathBuf::from("cargo-deny");
    if succeeds(Command::new(&installed).arg("--version")) {
        return Ok(installed);
    }
    let tools = target(root).join("tools");
    let built = tools.join("bin/cargo-deny");
    if !succeeds(Command::new(&built).arg("--version")) {
        let mut install = cargo(root);
        install.args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY_VERSION, "--root"]);
        run(install.arg(&tools)).context("type: cargo install cargo-deny --locked")?;
    }
    Ok(built)
}

/// Makes sure of a program that a Debian package brings.
pub fn debian_package_of(program: &str, package: &str) -> anyhow::Result<()> {
    if succeeds(Command::new(program).arg("--version")) {
        return Ok(());
    }
    install_debian_package(package)
}

/// Installs as root or by sudo without a password; where neither works, the error says what to type.
pub fn install_debian_package(package: &str) -> anyhow::Result<()> {
    let to_type = format!("{package} is missing; type: sudo apt-get install -y {package}");
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let has_sudo = || succeeds(Command::new("sudo").args(["-n", "true"]));
    let has_apt = succeeds(Command::new("apt-get").arg("--version"));
    anyhow::ensure!(has_apt && (is_root || has_sudo()), "{to_type}");

    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
        command
    };
    let install = ["install", "-y", "--no-install-recommends", package];
    // A fresh image has no package lists; a used one need not wait for them.
    if run(&mut apt_get(&install)).is_ok() {
        return Ok(());
    }
    run(&mut apt_get(&["update"])).and_then(|()| run(&mut apt_get(&install))).context(to_type)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
