//! Disks that lose or change what was stored, or take nothing: a miss and a metric, never a wrong byte, never an outage.

use crate::faults::{MIB, SIZE, fleet, is_good, part, version, whole};
use crate::installation::{DOMAIN, Installation, Plan, PopProcess};
use crate::origin::Page;
use crate::part_origin::{PartOrigin, Reply};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ERRORS: &str = "freshen_pop_disk_errors_total";

/// As little memory as may be, so that the disk is read.
fn small(pop: &mut freshen_pop::Config) {
    pop.memory_bytes_max = 8 << 20;
}

fn slices_folder(pop: &PopProcess) -> PathBuf {
    pop.folder().join("slices")
}

/// The files of all slices of a POP, in their order.
fn slices(pop: &PopProcess) -> Vec<PathBuf> {
    let folders = fs::read_dir(slices_folder(pop)).unwrap().map(|folder| folder.unwrap().path());
    let mut files: Vec<_> =
        folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Waits until all of a body is written.
async fn written(fleet: &Installation, path: &str) {
    let hit = async { while whole(&fleet.viewer(0), path).await.x_cache() != Some("HIT") {} };
    tokio::time::timeout(Duration::from_secs(20), hit).await.expect("it is not stored");
}

fn overwrite(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// What may happen to a slice's file.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 6] = [
    ("a bit turned", |file| overwrite(file, 70_000)),
    ("cut", |file| fs::File::options().write(true).open(file).unwrap().set_len(100).unwrap()),
    ("emptied", |file| drop(fs::File::create(file).unwrap())),
    ("deleted", |file| fs::remove_file(file).unwrap()),
    ("leads nowhere", |file| {
        fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", file).unwrap();
    }),
    ("not to be read", |file| {
        fs::remove_file(file).unwrap();
        fs::create_dir_all(file.join("in the way")).unwrap();
    }),
];

/// Damages what is stored, with the POP stopped or running.
async fn damaged(running: bool) {
    let a = version('a');
    let file = a.clone();
    let origin = PartOrigin::start(move |ask| file.honest(ask)).await;
    for (told, damage) in DAMAGES {
        let mut fleet = fleet(&origin, small).await;
        assert!(is_good(&whole(&fleet.viewer(0), "/a").await, &[&a], told));
        written(&fleet, "/a").await;
        if !running {
            assert!(fleet.pops[0].stop().await);
        }
        slices(&fleet.pops[0]).iter().for_each(|file| damage(file));
        if !running {
            fleet.pops[0].start();
            fleet.pops[0].ready().await;
        }
        let viewer = fleet.viewer(0);
        for _ in 0..2 {
            assert!(is_good(&part(&viewer, "/a", "bytes=2000000-2999999").await, &[&a], told), "{told}");
            assert!(is_good(&whole(&viewer, "/a").await, &[&a], told), "{told}");
        }
        if !running {
            fleet.pops[0].metric_when(ERRORS, |count| count >= 1.0).await;
        }
    }
}

#[tokio::test]
async fn what_a_disk_has_lost_or_changed_overnight_is_fetched_again() {
    damaged(false).await;
}

#[tokio::test]
async fn what_a_disk_loses_or_changes_under_way_is_fetched_again() {
    damaged(true).await;
}

#[tokio::test]
async fn a_damaged_slice_is_fetched_again_alone() {
    let a = version('a');
    let file = a.clone();
    let origin = PartOrigin::start(move |ask| file.honest(ask)).await;
    let mut fleet = fleet(&origin, small).await;
    assert!(is_good(&whole(&fleet.viewer(0), "/a").await, &[&a], "the first"));
    written(&fleet, "/a").await;
    assert!(fleet.pops[0].stop().await);
    overwrite(&slices(&fleet.pops[0])[2], 5);
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    assert!(is_good(&whole(&fleet.viewer(0), "/a").await, &[&a], "mended"));
    assert!(is_good(&whole(&fleet.viewer(0), "/a").await, &[&a], "whole again"));
    let asked: Vec<_> = origin.requests("/a").iter().map(|ask| ask.range()).collect();
    assert_eq!(asked, [None, Some((2 * MIB, Some(3 * MIB - 1)))]);
    fleet.pops[0].metric_when(ERRORS, |count| count >= 1.0).await;
}

#[tokio::test]
async fn a_damaged_body_that_cannot_be_mended_is_fetched_anew() {
    let file = version('a');
    for bytes in [file.bytes.slice(..200_000), file.bytes.clone()] {
        for tag in [None, Some("W/\"a\"")] {
            let (whole_file, length) = (file.whole().body(bytes.clone()), bytes.len());
            let origin = PartOrigin::start(move |_| match tag {
                None => whole_file.clone().without("ETag"),
                Some(tag) => whole_file.clone().with("ETag", tag),
            })
            .await;
            let mut fleet = fleet(&origin, small).await;
            assert_eq!(whole(&fleet.viewer(0), "/a").await.size(), length);
            written(&fleet, "/a").await;
            assert!(fleet.pops[0].stop().await);
            overwrite(slices(&fleet.pops[0]).last().unwrap(), 5);
            fleet.pops[0].start();
            fleet.pops[0].ready().await;
            // In a later slice it shows only behind the head: that one answer breaks off.
            let got = whole(&fleet.viewer(0), "/a").await;
            assert!(
                got.body.as_ref().map_or(length > MIB, |body| *body == bytes),
                "{length} {tag:?}: {got:?}"
            );
            let got = whole(&fleet.viewer(0), "/a").await;
            assert!(got.body == Some(bytes.clone()), "{length} {tag:?}: {:?}", got.headers);
            assert_eq!(whole(&fleet.viewer(0), "/a").await.x_cache(), Some("HIT"));
            fleet.pops[0].metric_when(ERRORS, |count| count >= 1.0).await;
        }
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_does_not_keep_viewers_from_being_served() {
    let a = version('a');
    let file = a.clone();
    let origin = PartOrigin::start(move |ask| {
        let reply = match &ask.path[1..2] {
            // Without ranges.
            "w" => file.whole().without("Accept-Ranges"),
            _ => file.honest(ask),
        };
        let reply: Reply = match &ask.path[2..3] {
            "s" => reply.body(file.bytes.slice(..300_000)),
            _ => reply,
        };
        match &ask.path[3..4] {
            "t" => reply,
            _ => reply.without("ETag"),
        }
    })
    .await;
    let fleet = fleet(&origin, small).await;
    let viewer = fleet.viewer(0);
    let folders: Vec<_> =
        fs::read_dir(slices_folder(&fleet.pops[0])).unwrap().map(|folder| folder.unwrap().path()).collect();
    for folder in &folders {
        fs::remove_dir_all(folder).unwrap();
        fs::write(folder, "in the way").unwrap();
    }
    // What is under way when the disk fails, and cannot be asked for again, breaks off.
    assert!(whole(&viewer, "/wl-").await.body.is_none_or(|body| body == a.bytes));
    // With and without ranges, small and large, with and without a validator.
    for path in ["/wst", "/ws-", "/wlt", "/wl-", "/plt", "/pl-"] {
        let length = if path.contains('s') { 300_000 } else { SIZE };
        for turn in 0..3 {
            let got = whole(&viewer, path).await;
            assert!(got.body == Some(a.bytes.slice(..length)), "{path}, {turn}: {:?}", got.headers);
        }
    }
    assert!(is_good(&part(&viewer, "/plt", "bytes=2000000-2999999").await, &[&a], "a part"));
    fleet.pops[0].metric_when(ERRORS, |count| count >= 1.0).await;

    for folder in &folders {
        fs::remove_file(folder).unwrap();
        fs::create_dir(folder).unwrap();
    }
    // Once it takes something again, things are stored again.
    let stored = async {
        while whole(&viewer, "/plt").await.x_cache() != Some("HIT") {
            tokio::time::sleep(Duration::from_millis(200)).await; // tidy: allow-sleep, a disk is left alone for a time
        }
    };
    tokio::time::timeout(Duration::from_secs(20), stored).await.expect("nothing is stored again");
}

/// A POP that cannot know any more what was purged begins anew, instead of staying away.
#[tokio::test]
async fn p1_a_damaged_index_costs_what_was_cached_and_nothing_else() {
    let mut fleet = Installation::start(Plan::default()).await;
    let body = vec![b'x'; 3 * MIB];
    fleet.origin.set("/a", Page::new(body.clone()));
    let url = format!("{DOMAIN}/a");
    assert_eq!(fleet.viewer(0).get(&url).await.x_cache(), Some("MISS"));
    fleet.purge(&["a.example/else"]).await;
    fleet.pops[0].kill();
    let index = fleet.pops[0].folder().join("index");
    let files = fs::read_dir(&index).unwrap().map(|file| file.unwrap().path());
    let log = files.filter(|file| file.extension().is_some_and(|kind| kind == "jnl")).max().unwrap();
    let text = fs::read(&log).unwrap().windows(9).position(|text| text == b"watermark").unwrap();
    overwrite(&log, text);
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    fleet.pops[0].metric_when("freshen_pop_index_lost_total", |times| times == 1.0).await;
    let got = fleet.viewer(0).get(&url).await;
    assert_eq!((got.x_cache(), got.size()), (Some("MISS"), body.len()));
    assert_eq!(fleet.viewer(0).get(&url).await.x_cache(), Some("HIT"));
    // It confirms again, as the data folder that it is now.
    fleet.purge(&[&url]).await;
    assert_eq!(fleet.viewer(0).get(&url).await.x_cache(), Some("EXPIRED"));
}
