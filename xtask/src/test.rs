//! All tests, with what they need in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::tools;

/// The vendor's SDKs, which are some of the tests.
const SDK_FOLDER: &str = "crates/api/tests/sdk";
/// What drives a browser through the console.
const BROWSER_FOLDER: &str = "crates/cli/tests/browser";

/// Runs the doc tests, then all others, so that the runner's own summary is the last thing to read.
pub fn run(root: &Path, filters: &[String]) -> anyhow::Result<()> {
    tools::debian_package_of("curl", "curl")?;
    // It calls it `-version`.
    if !tools::succeeds(Command::new("ffmpeg").arg("-version")) {
        tools::install_debian_package("ffmpeg")?;
    }
    tools::debian_package_of("chromium", "chromium")?;
    let python = sdk_python(root)?;
    let node = node_packages(root, &format!("{SDK_FOLDER}/node"), "node", "the vendor's Node SDKs")?;
    let browser = node_packages(root, BROWSER_FOLDER, "browser", "Playwright and axe")?;

    let mut doc_tests = tools::cargo(root);
    doc_tests.args(["test", "--workspace", "--doc", "--"]).args(filters);
    let documented = tools::run(&mut doc_tests);
    let mut tests = runner(root, filters);
    tests
        .env("FRESHEN_TEST_PYTHON", python)
        .env("FRESHEN_TEST_NODE", node)
        .env("FRESHEN_TEST_BROWSER", browser);
    let tested = tools::run(&mut tests);
    // Both are run whatever the other says: one look shows all that is broken.
    tested.and(documented)
}

/// nextest where it is installed, and cargo's own runner where not; both run the same tests.
fn runner(root: &Path, filters: &[String]) -> Command {
    let mut runner = tools::cargo(root);
    if tools::succeeds(tools::cargo(root).args(["nextest", "--version"])) {
        runner.args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(filters);
    } else {
        runner
            .args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests", "--"])
            .args(filters);
    }
    runner
}

/// The Python of `.venv`, which has the SDK in exactly the versions asked for.
fn sdk_python(root: &Path) -> anyhow::Result<PathBuf> {
    let venv = root.join(".venv");
    let python = venv.join("bin/python");
    let (requirements, constraints) =
        (root.join(SDK_FOLDER).join("requirements.txt"), root.join(SDK_FOLDER).join("constraints.txt"));
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| path.display().to_string());
    let wanted = format!("{}\n{}", read(&requirements)?, read(&constraints)?);
    let installed = venv.join("installed.txt");

    let is_current = fs::read_to_string(&installed).is_ok_and(|found| found == wanted);
    // A venv made by a Python that has been upgraded since does not run any more.
    if is_current && tools::succeeds(Command::new(&python).arg("--version")) {
        return Ok(python);
    }
    tools::debian_package_of("python3", "python3")?;
    if !tools::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        tools::install_debian_package("python3-venv")?;
    }
    tools::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    tools::run(install.arg(&requirements).arg("--constraint").arg(&constraints))
        .context("the tests need the vendor's Python SDK from PyPI or a mirror of it (PIP_INDEX_URL)")?;
    // Last, so that a half-made venv is made again.
    fs::write(&installed, wanted)?;
    Ok(python)
}

/// The folder `.venv/NAME`, which has the packages of `source` in exactly the versions of its lock file.
fn node_packages(root: &Path, source: &str, name: &str, what: &str) -> anyhow::Result<PathBuf> {
    let (folder, source) = (root.join(".venv").join(name), root.join(source));
    let lock = source.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    let installed = folder.join("installed.json");
    tools::debian_package_of("node", "nodejs")?;
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    tools::debian_package_of("npm", "npm")?;
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(source.join(name), folder.join(name)).with_context(|| name.to_owned())?;
    }
    let mut install = Command::new("npm");
    install.current_dir(&folder).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    tools::run(&mut install)
        .with_context(|| format!("the tests need {what} from npm's registry or a mirror of it"))?;
    // Last, so that a half-made folder is made again.
    fs::write(&installed, wanted)?;
    Ok(folder)
}
