//! What the SQLite engine promises besides the suite: one process, private files, shared commits, and kill -9.

use crate::Home;
use crate::fixture::{purge, refusal, settings, site};
use async_trait::async_trait;
use freshen_ledger::{Error, Ledger, Refusal, SqliteLedger};
use freshen_model::domain::{Bucket, Settings};
use freshen_model::ids::{Seq, TaskId};
use freshen_model::order::Body;
use freshen_model::quota::Limits;
use freshen_model::secret::{SealingKey, Secret};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// A ledger in a folder that goes away with it.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("state/ledger.db")
    }
}

#[async_trait]
impl Home for Folder {
    async fn open(&self) -> Arc<dyn Ledger> {
        Arc::new(SqliteLedger::open(&self.path()).unwrap())
    }
}

#[tokio::test]
async fn a_second_open_is_refused_until_the_first_is_dropped() {
    let folder = Folder::new();
    let first = SqliteLedger::open(&folder.path()).unwrap();
    let Err(Error::Refused(Refusal::Unfit(why))) = SqliteLedger::open(&folder.path()) else {
        panic!("opened twice");
    };
    assert!(why.contains("in use by another control process"), "{why}");
    let log = first.log_id();
    drop(first);
    assert_eq!(SqliteLedger::open(&folder.path()).unwrap().log_id(), log);
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let folder = Folder::new();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    drop(SqliteLedger::open(&folder.path()).unwrap());
    // As a restored copy may be.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o644)).unwrap();
    let ledger = SqliteLedger::open(&folder.path()).unwrap();
    site(&ledger).await;
    let state = folder.0.path().join("state");
    assert_eq!(mode(&state), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&state).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["ledger.db", "ledger.db-shm", "ledger.db-wal", "ledger.db.lock", "secrets.key"]);
}

#[test]
fn a_file_that_is_no_ledger_is_refused_and_stays_as_it_is() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.path().join("state")).unwrap();
    std::fs::write(folder.path(), "dear diary, ".repeat(100)).unwrap();
    assert!(matches!(SqliteLedger::open(&folder.path()), Err(Error::Engine(_))));
    assert!(std::fs::read_to_string(folder.path()).unwrap().starts_with("dear diary"));
}

#[tokio::test]
async fn concurrent_submissions_share_commits() {
    let folder = Folder::new();
    let ledger = Arc::new(SqliteLedger::open(&folder.path()).unwrap());
    site(&*ledger).await;
    let submission = purge(&*ledger, &["a.example/x"]).await;
    let before = ledger.commits();
    let submitting = (0..200).map(|_| {
        let (ledger, submission) = (ledger.clone(), submission.clone());
        tokio::spawn(async move { ledger.submit(submission).await.unwrap() })
    });
    for submitted in submitting.collect::<Vec<_>>() {
        submitted.await.unwrap();
    }
    let commits = ledger.commits() - before;
    assert!((1..=100).contains(&commits), "{commits} commits for 200 submissions");
}

const CHILD_PATH: &str = "FRESHEN_LEDGER_TEST_CHILD";
const CHILD: &str = "embedded::child_submits_until_it_is_killed";

/// The process that the next test kills; does nothing where it is not told a ledger.
#[test]
fn child_submits_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD_PATH) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = Arc::new(SqliteLedger::open(path.as_ref()).unwrap());
        site(&*ledger).await;
        let limits = Limits { url: u64::MAX, ..Limits::all(0) };
        ledger.set_limits("acme", limits).await.unwrap();
        let submission = purge(&*ledger, &["a.example/x", "a.example/y"]).await;
        let mut submitting = JoinSet::new();
        for _ in 0..8 {
            let (ledger, submission) = (ledger.clone(), submission.clone());
            submitting.spawn(async move {
                loop {
                    let submitted = ledger.submit(submission.clone()).await.unwrap();
                    println!("acknowledged {} {}", submitted.task, submitted.seq);
                }
            });
        }
        submitting.join_next().await;
    });
}

#[tokio::test]
async fn p4_what_was_acknowledged_survives_kill_9() {
    let folder = Folder::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env(CHILD_PATH, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The test runner's own words may stand before the first; the last may be cut off by the kill.
        let Some((_, numbers)) = line.split_once("acknowledged ") else { continue };
        let Some((task, seq)) = numbers.split_once(' ') else { continue };
        acknowledged.insert(TaskId(task.parse().unwrap()), Seq(seq.parse().unwrap()));
        if acknowledged.len() == 300 {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(acknowledged.len() >= 300, "the child ended after {}", acknowledged.len());

    let ledger = SqliteLedger::open(&folder.path()).unwrap();
    let read = ledger.orders_after(Seq::ZERO, usize::MAX).await.unwrap();
    assert!(
        read.orders.iter().map(|order| order.seq.0).eq(1..=ledger.end().borrow().seq.0),
        "dense to the end"
    );
    let orders: BTreeMap<Seq, Body> = read.orders.into_iter().map(|order| (order.seq, order.body)).collect();
    for (task, seq) in &acknowledged {
        let record = ledger.task(*task, Some("acme")).await.unwrap();
        assert_eq!(record.map(|record| record.seq), Some(*seq), "task {task}");
        assert!(matches!(&orders[seq], Body::Purge { task: Some(of), .. } if of == task), "order {seq}");
    }
    // And nothing by halves: as many tasks as purge orders, each with its lines and its quota use.
    let tasks = ledger.running_tasks().await.unwrap();
    let purges = orders.values().filter(|body| matches!(body, Body::Purge { .. })).count();
    assert_eq!(tasks.len(), purges);
    for task in &tasks {
        assert_eq!(ledger.task_lines(task.id).await.unwrap().len(), 2);
    }
    let used = ledger.quota("acme", crate::fixture::DAY).await.unwrap()[0].used;
    assert_eq!(used, 2 * purges as u64);
    let next = refusal(ledger.set_limits("nobody", Limits::default()).await);
    assert!(matches!(next, Refusal::NotFound { .. }), "the ledger goes on");
}

#[tokio::test]
async fn a_buckets_secret_lies_sealed_on_disk_and_opens_with_its_key_only() {
    let folder = Folder::new();
    let hush = "hush-this-is-the-secret";
    let mut settings = settings("films.example");
    settings.origin.s3 = Some(Bucket {
        region: "eu-1".into(),
        bucket: None,
        access_key_id: "reader".into(),
        secret_access_key: Secret::Plain(hush.into()),
    });
    let ledger = SqliteLedger::open(&folder.path()).unwrap();
    ledger.add_account("ann", false).await.unwrap();
    let added = ledger.add_domain("ann", "a.example", &settings).await.unwrap();
    assert_eq!(added.settings, settings);
    assert_eq!(ledger.set_domain("a.example", &settings).await.unwrap().seq, added.seq, "nothing changed");
    let site_settings = crate::fixture::settings("elsewhere");
    let sharing = Settings { share_cache: Some("a.example".into()), ..site_settings };
    assert_eq!(
        ledger.add_domain("ann", "b.example", &sharing).await.unwrap().settings.origin,
        settings.origin
    );
    drop(ledger);

    let files: Vec<_> = std::fs::read_dir(folder.path().parent().unwrap()).unwrap().collect();
    for file in files {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let there = bytes.windows(hush.len()).any(|window| window == hush.as_bytes());
        assert!(!there, "{} has the secret", path.display());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let ledger = SqliteLedger::open(&folder.path()).unwrap();
    assert_eq!(ledger.domain("a.example").await.unwrap().unwrap().settings, settings);
    let read = ledger.orders_after(Seq::ZERO, 1 << 20).await.unwrap();
    let Body::Domain { settings: Some(sent), .. } = &read.orders[0].body else { panic!("{read:?}") };
    assert_eq!(**sent, settings, "POPs are sent what they need");
    assert_eq!(ledger.snapshot(&"pop-1".parse().unwrap()).await.unwrap().domains["a.example"], settings);
    drop(ledger);

    let other = SqliteLedger::open_sealed(&folder.path(), SealingKey::new([1; 32])).unwrap();
    let domain = other.domain("a.example").await.unwrap().unwrap();
    assert_eq!(domain.settings.origin.s3.unwrap().secret_access_key.plain(), None);
    other.set_domain("a.example", &settings).await.unwrap();
    assert_eq!(other.domain("a.example").await.unwrap().unwrap().settings, settings, "set anew");
    drop(other);
    std::fs::write(folder.path().with_file_name("secrets.key"), "no key").unwrap();
    assert!(matches!(SqliteLedger::open(&folder.path()), Err(Error::Refused(Refusal::Unfit(_)))));
}
