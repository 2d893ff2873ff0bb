//! What a purge matched is counted truthfully behind its end, and every POP signs for it.

use crate::installation::{ACCOUNT, DOMAIN, Installation, Plan, only_step};
use crate::origin::Page;
use freshen_model::certificate::{CertificateFile, Fault, Proof, verify};
use freshen_model::count::{Counted, Counts};
use freshen_model::ids::TaskId;
use freshen_model::receipt::Signed;
use freshen_model::task::{StepState, Task, TaskKind};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// Between two questions to control about what only the sweep brings.
const POLL: Duration = Duration::from_millis(20);

impl Installation {
    async fn put(&self, path: &str, page: Page) {
        self.origin.set(path, page);
        for pop in 0..self.pops.len() {
            self.viewer(pop).get(&format!("{DOMAIN}{path}")).await;
        }
    }

    /// What the task matched, once every POP has counted.
    async fn counted(&self, task: &Task) -> Counts {
        let counts = self.control.counts_within(task, PATIENCE).await.unwrap().unwrap();
        assert!(counts.settled, "{counts:?}");
        counts
    }

    async fn certificate(&self, task: TaskId) -> CertificateFile {
        self.control.certificate(Some(ACCOUNT), task, PATIENCE).await.unwrap()
    }

    /// What shows that each POP is done; the certificate holds, by keys that came another way.
    async fn proofs(&self, task: TaskId) -> Vec<Proof> {
        let keys = self.control.receipt_keys().await.unwrap();
        let findings = verify(&self.certificate(task).await, Some(&keys));
        assert_eq!(findings.faults, []);
        findings.pops.into_iter().map(|(_, proof)| proof).collect()
    }
}

/// Objects, copies and bytes that all POPs together counted, and whether exactly.
fn matched(counts: &Counts) -> (u64, u64, u64, bool) {
    (counts.total.objects, counts.total.copies, counts.total.bytes, counts.total.exact)
}

#[tokio::test]
async fn a_purge_counts_what_it_matched_and_nothing_beside() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.put("/d/a", Page::new("four")).await;
    fleet.put("/d/e/b?q", Page::new(vec![b'b'; 3_500_000])).await;
    for beside in ["/dd/a", "/d", "/c"] {
        fleet.put(beside, Page::new("beside")).await;
    }
    // A second copy of one object, at one POP.
    fleet.origin.set("/c", Page::new("plain").gzip("gz"));
    fleet.purge(&["a.example/c"]).await;
    fleet.viewer(0).get("a.example/c").await;
    fleet.viewer(0).get_gzip("a.example/c").await;

    let task = fleet.purge_directory("a.example/d/", false).await;
    let counts = fleet.counted(&task).await;
    assert_eq!(matched(&counts), (4, 4, 2 * 3_500_004, true));
    assert_eq!(counts.total.evicted_objects, 0, "they wait for the origin's word");
    let task = fleet.purge(&["a.example/c", "a.example/c", "a.example/none"]).await;
    let counts = fleet.counted(&task).await;
    assert_eq!(matched(&counts).0, 2);
    let Counted::Done { count, .. } = counts.pops[0].counted else { panic!("{counts:?}") };
    assert_eq!((count.objects, count.copies, count.bytes), (1, 2, 7));
    // Here it is the copy from before the first purge, which nobody has asked for since.
    let Counted::Done { count, .. } = counts.pops[1].counted else { panic!("{counts:?}") };
    assert_eq!((count.objects, count.copies, count.bytes), (1, 1, 6));
    for pop in fleet.proofs(task.id).await {
        assert!(matches!(pop, Proof::Confirmed { accounted: Some(_), .. }), "{pop:?}");
    }
}

/// The copies leave before the count comes by: the first requests behind the purge replace or confirm them.
#[tokio::test]
async fn what_leaves_behind_the_purge_is_counted_all_the_same() {
    let fleet = Installation::start(Plan::default()).await;
    const OBJECTS: u64 = 1_200;
    let path = |at: u64| format!("/o/{at}");
    for at in 0..OBJECTS {
        fleet.put(&path(at), Page::new("0123456789")).await;
    }
    let viewer = fleet.viewer(0);
    for force in [true, false] {
        let task = fleet.purge_directory("a.example/o/", force).await;
        for at in (0..OBJECTS).rev().take(200) {
            let word = if force { "EXPIRED" } else { "REVALIDATED" };
            assert_eq!(viewer.get(&format!("{DOMAIN}{}", path(at))).await.x_cache(), Some(word));
        }
        assert_eq!(matched(&fleet.counted(&task).await), (OBJECTS, OBJECTS, OBJECTS * 10, true));
        assert!(matches!(only_step(&task), StepState::Confirmed { .. }));
        // What was not asked for since is still there for the next one; what was evicted is not wanted back.
        for at in 0..OBJECTS {
            viewer.get(&format!("{DOMAIN}{}", path(at))).await;
        }
    }
}

/// Counts go one after the other; each is of the moment at which its order was applied, however late it comes.
#[tokio::test]
async fn a_count_that_has_to_wait_counts_what_was_there_before() {
    let fleet = Installation::start(Plan::default()).await;
    for at in 0..600 {
        fleet.put(&format!("/o/{at}"), Page::new("0123456789")).await;
    }
    fleet.put("/a?q", Page::new("four")).await;
    // Long enough that the next count has to wait for these.
    for _ in 0..10 {
        fleet.submit(TaskKind::Directory, false, &["a.example/o/"]).await;
    }
    let task = fleet.submit(TaskKind::Query, true, &["a.example/a"]).await;
    let task = fleet.ended(task).await;
    assert_eq!(fleet.viewer(0).get("a.example/a?q").await.x_cache(), Some("EXPIRED"));
    assert_eq!(matched(&fleet.counted(&task).await), (1, 1, 4, true));
}

#[tokio::test]
async fn what_was_evicted_is_told_as_deleted_once_it_is() {
    let fleet = Installation::start(Plan { sweep_interval_ms: 300, ..Plan::default() }).await;
    fleet.put("/a", Page::new("four")).await;
    let task = fleet.purge(&["a.example/a"]).await;
    let swept = async {
        loop {
            let counts = fleet.counted(&task).await;
            let Counted::Done { count, reclaimed_objects, reclaimed_bytes } = counts.pops[0].counted else {
                panic!("{counts:?}")
            };
            assert_eq!((count.objects, count.evicted_objects, count.exact), (1, 1, true));
            if reclaimed_objects == 1 {
                assert_eq!(reclaimed_bytes, 4);
                return;
            }
            tokio::time::sleep(POLL).await; // tidy: allow-sleep, control tells of this only when asked
        }
    };
    tokio::time::timeout(PATIENCE, swept).await.unwrap();
    let proofs = fleet.proofs(task.id).await;
    assert!(matches!(&proofs[0], Proof::Confirmed { accounted: Some(a), .. } if a.reclaimed), "{proofs:?}");
}

#[tokio::test]
async fn a_purge_that_matches_nothing_anywhere_is_known_as_such() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.put("/right", Page::new("x")).await;
    let task = fleet.purge(&["a.example/rihgt"]).await;
    assert!(fleet.counted(&task).await.nothing_matched);
    let task = fleet.purge(&["a.example/right"]).await;
    assert!(!fleet.counted(&task).await.nothing_matched);
}

/// Killed as soon as the purge is complete, while control takes no receipts: they come from the journal.
#[tokio::test]
async fn a_kill_behind_the_confirmation_loses_no_count_and_no_signature() {
    let mut fleet = Installation::start(Plan { lease_ms: 1_000, ..Plan::default() }).await;
    for at in 0..600 {
        fleet.put(&format!("/o/{at}"), Page::new("0123456789")).await;
    }
    let task = fleet.purge_directory("a.example/o/", true).await;
    fleet.pops[0].kill();
    assert!(matches!(only_step(&task), StepState::Confirmed { .. }));
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    let counts = fleet.counted(&task).await;
    // Nobody has asked for anything since, so whether it is exact or «at least», the number is the same.
    assert_eq!((counts.total.objects, counts.total.bytes), (600, 6_000));
    assert!(matches!(fleet.proofs(task.id).await[0], Proof::Confirmed { accounted: Some(_), .. }));
}

#[tokio::test]
async fn a_fenced_pop_is_named_until_it_returns_and_signs() {
    let mut fleet = Installation::start(Plan { pops: 2, lease_ms: 1_000, ..Plan::default() }).await;
    fleet.put("/a", Page::new("x")).await;
    fleet.pops[1].kill();
    let task = fleet.purge(&["a.example/a"]).await;
    assert_eq!(fleet.counted(&task).await.pops[1].counted, Counted::Unknown);
    assert!(!fleet.counted(&task).await.total.exact);
    let proofs = fleet.proofs(task.id).await;
    assert!(matches!(proofs[..], [Proof::Confirmed { .. }, Proof::Fenced { .. }]), "{proofs:?}");
    fleet.pops[1].start();
    fleet.pops[1].ready().await;
    // What comes after it in the log is confirmed after it.
    fleet.purge(&["a.example/b"]).await;
    let task = fleet.task(task.id).await;
    assert_eq!(matched(&fleet.counted(&task).await), (2, 2, 2, true));
    let proofs = fleet.proofs(task.id).await;
    assert!(matches!(proofs[..], [Proof::Confirmed { .. }, Proof::Confirmed { .. }]), "{proofs:?}");
}

/// A new data folder never applied the order. It starts from what all orders led to, with nothing, and signs that.
#[tokio::test]
async fn a_pop_that_starts_over_signs_that_everything_is_void() {
    let mut fleet = Installation::start(Plan { lease_ms: 1_000, ..Plan::default() }).await;
    fleet.put("/a", Page::new("x")).await;
    fleet.pops[0].kill();
    let task = fleet.purge(&["a.example/a"]).await;
    std::fs::remove_dir_all(fleet.pops[0].folder()).unwrap();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    fleet.purge(&["a.example/b"]).await;
    let task = fleet.task(task.id).await;
    assert!(matches!(only_step(&task), StepState::Confirmed { fenced_at_ms: Some(_), .. }), "{task:?}");
    assert_eq!(fleet.counted(&task).await.pops[0].counted, Counted::Everything);
    assert!(matches!(fleet.proofs(task.id).await[..], [Proof::StartedOver { .. }]));
    let keys = fleet.control.receipt_keys().await.unwrap();
    assert_eq!(keys.pops.len(), 2, "the key of the folder that is gone is not forgotten: {keys:?}");
}

#[tokio::test]
async fn prefetches_and_running_purges_have_no_certificate() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.origin.set("/a", Page::new("x"));
    let prefetch = fleet.prefetch(&["a.example/a"]).await;
    let none = async |task| fleet.control.certificate(Some(ACCOUNT), task, Duration::ZERO).await.unwrap_err();
    assert!(none(prefetch.id).await.to_string().contains("is a prefetch"));
    fleet.pops[1].pause();
    let running = fleet.submit(TaskKind::Url, false, &["a.example/a"]).await;
    assert!(none(running).await.to_string().contains("is running"));
    assert!(none(TaskId(7)).await.to_string().contains("no task"));
    let another = fleet.control.certificate(Some("somebody"), running, Duration::ZERO).await.unwrap_err();
    assert!(another.to_string().contains("no task"));
}

async fn freshen_verify(folder: &Path, file: &str, key: bool) -> (i32, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_freshen"));
    command.args(["receipt", "verify"]).arg(folder.join(file)).stdin(Stdio::null());
    if key {
        command.arg("--key").arg(folder.join("keys"));
    }
    let ended = command.output().await.unwrap();
    let said = String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap();
    (ended.status.code().unwrap(), said)
}

/// The file as somebody has it years later, and what he makes of it when somebody else had it before him.
#[tokio::test]
async fn a_certificate_is_verified_without_anybody_and_every_change_is_noticed() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.put("/a", Page::new("four")).await;
    let task = fleet.purge(&["a.example/a"]).await;
    let other = fleet.purge(&["a.example/b"]).await;
    fleet.counted(&task).await;
    let file = fleet.certificate(task.id).await;
    let keys = fleet.control.receipt_keys().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    put("keys", serde_json::to_string(&keys).unwrap());
    put("true", serde_json::to_string(&file).unwrap());
    let (code, said) = freshen_verify(folder.path(), "true", true).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("It holds") && said.contains("matched 1 object, 4 bytes"), "{said}");
    let (code, said) = freshen_verify(folder.path(), "true", false).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Whose the keys are"), "{said}");

    let changed = |from: &str, to: &str| {
        let statement = file.signed.statement.replacen(from, to, 1);
        assert_ne!(statement, file.signed.statement, "{from}");
        CertificateFile { signed: Signed { statement, ..file.signed.clone() }, ..file.clone() }
    };
    let elsewhere = fleet.certificate(other.id).await;
    let log = fleet.control.log_id().to_string();
    for (name, forged) in [
        ("a number", changed("\\\"objects\\\":1", "\\\"objects\\\":2")),
        ("a POP that is missing", changed("\"pop\":\"pop-2\"", "\"pop\":\"pop-1\"")),
        ("a line", changed("http://a.example/a", "http://a.example/c")),
        ("another log", changed(&log, &log.replace(&log[..2], "00"))),
        (
            "another task's signature",
            CertificateFile {
                signed: Signed { signature: elsewhere.signed.signature.clone(), ..file.signed.clone() },
                ..file.clone()
            },
        ),
    ] {
        put("false", serde_json::to_string(&forged).unwrap());
        let (code, said) = freshen_verify(folder.path(), "false", true).await;
        assert_eq!(code, 1, "{name}: {said}");
        assert!(said.contains("does not hold"), "{name}: {said}");
    }
    // By the keys of another installation it is a stranger's.
    let mut strange = keys.clone();
    strange.control = strange.pops[0].key;
    assert!(matches!(verify(&file, Some(&strange)).faults[..], [Fault::ForeignControl { .. }]));
    put("none", "{}".into());
    assert_eq!(freshen_verify(folder.path(), "none", false).await.0, 2);
    assert_eq!(freshen_verify(folder.path(), "nowhere", false).await.0, 2);
}
