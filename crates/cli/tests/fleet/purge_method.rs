//! The method PURGE at a POP's admin listener: fleet-wide, with one access key, and truthful about completion.

use crate::installation::{ACCOUNT, Installation, Plan, free_port};
use crate::origin::Page;
use crate::viewer::Got;
use freshen_model::task::{Status, Task};
use freshen_pop::config::{PurgeMethod, Token};
use http::Method;
use tokio_util::sync::DropGuard;

const A: &str = "a.example/a";
const KEY: (&str, &str) = ("plug-in", "plug-in-secret");
const SECRET: &str = "a-secret-of-thirty-bytes-or-so";

/// An installation whose control serves users too, and whose POPs answer PURGE.
struct Fleet {
    installation: Installation,
    _api: DropGuard,
}

impl std::ops::Deref for Fleet {
    type Target = Installation;

    fn deref(&self) -> &Installation {
        &self.installation
    }
}

impl Fleet {
    async fn start(pops: usize, change: fn(&mut PurgeMethod)) -> Fleet {
        let endpoint = format!("127.0.0.1:{}", free_port());
        let mut method = PurgeMethod {
            endpoint: format!("http://{endpoint}"),
            access_key_id: KEY.0.into(),
            access_key_secret: Token(KEY.1.into()),
            from: vec!["127.0.0.1".parse().unwrap()],
            secret: None,
            wait_ms: 20_000,
        };
        change(&mut method);
        let pop = Box::new(move |pop: &mut freshen_pop::Config| pop.purge_method = Some(method.clone()));
        let installation = Installation::start(Plan { pops, pop, ..Plan::default() }).await;
        let api = installation.serve_users(&endpoint, KEY).await;
        Fleet { installation, _api: api }
    }

    /// Every POP has `old` at these paths, and the origin has `new`.
    async fn with_old_copies(&self, paths: &[&str]) {
        for path in paths {
            self.origin.set(path, Page::new("old"));
            for pop in 0..self.pops.len() {
                self.viewer(pop).get(&format!("a.example{path}")).await;
            }
            self.origin.set(path, Page::new("new"));
        }
    }

    /// Asks the first POP.
    async fn ask(&self, url: &str, headers: &[(&str, &str)]) -> Got {
        let method = Method::from_bytes(b"PURGE").unwrap();
        self.pops[0].admin().send(method, url, headers, "").await
    }
}

#[tokio::test]
async fn a_purge_by_the_method_is_done_at_every_pop_when_it_is_answered() {
    let fleet = Fleet::start(2, |_| {}).await;
    fleet.with_old_copies(&["/a", "/b"]).await;
    let got = fleet.ask(A, &[]).await;
    assert_eq!(got.status, 200, "{got:?}");
    let text = got.text();
    assert!(text.starts_with("complete: task 1") && text.contains("pop-2: confirmed"), "{text}");
    for pop in 0..2 {
        assert_eq!(fleet.viewer(pop).get(A).await.both(), ("EXPIRED", "new"));
        assert_eq!(
            fleet.viewer(pop).get("a.example/b").await.both(),
            ("HIT", "old"),
            "nothing else is purged"
        );
    }
    assert!(fleet.origin.requests("/a").iter().all(|request| !request.conditional()), "hard: no validators");
}

#[tokio::test]
async fn a_soft_purge_asks_the_origin_and_keeps_what_it_confirms() {
    let fleet = Fleet::start(1, |_| {}).await;
    fleet.origin.set("/a", Page::new("the same"));
    fleet.viewer(0).get(A).await;
    for fields in [[("x-purge-mode", "soft")], [("fastly-soft-purge", "1")]] {
        assert_eq!(fleet.ask(A, &fields).await.status, 200);
        assert_eq!(fleet.viewer(0).get(A).await.both(), ("REVALIDATED", "the same"));
    }
}

#[tokio::test]
async fn a_star_purges_the_directory_and_json_is_given_to_who_accepts_it() {
    let fleet = Fleet::start(1, |_| {}).await;
    fleet.with_old_copies(&["/blog/a", "/blogs"]).await;
    let fields = [("x-purge-method", "regex"), ("accept", "text/html;q=0.5, application/json")];
    let got = fleet.ask("a.example/blog/.*", &fields).await;
    let task: Task = serde_json::from_str(got.text()).unwrap();
    assert_eq!((got.status.as_u16(), task.status, task.kind.as_str()), (200, Status::Complete, "directory"));
    assert_eq!(got.header("freshen-task"), Some(task.id.to_string().as_str()));
    assert_eq!(fleet.viewer(0).get("a.example/blog/a").await.both(), ("EXPIRED", "new"));
    assert_eq!(fleet.viewer(0).get("a.example/blogs").await.both(), ("HIT", "old"));
}

#[tokio::test]
async fn tags_are_purged_as_plug_ins_name_them() {
    let fleet = Fleet::start(1, |_| {}).await;
    for (path, tags) in [("/p1", "cat_p_1,cat_p"), ("/p2", "cat_p_2"), ("/p11", "cat_p_11")] {
        fleet.origin.set(path, Page::new("old").with("cache-tag", tags));
        fleet.viewer(0).get(&format!("a.example{path}")).await;
        fleet.origin.set(path, Page::new("new").with("cache-tag", tags));
    }
    assert_eq!(fleet.ask("a.example/", &[("surrogate-key", "cat_p_2 other")]).await.status, 200);
    let text = |path: &'static str| {
        let viewer = fleet.viewer(0);
        async move { viewer.get(&format!("a.example{path}")).await.text().to_owned() }
    };
    assert_eq!((text("/p1").await, text("/p2").await), ("old".to_owned(), "new".to_owned()));
    let pattern = [("x-magento-tags-pattern", "((^|,)cat_p_1(,|$))")];
    assert_eq!(fleet.ask("a.example/", &pattern).await.status, 200);
    assert_eq!((text("/p1").await, text("/p11").await), ("new".to_owned(), "old".to_owned()));
}

#[tokio::test]
async fn p2_a_purge_that_a_paused_pop_has_not_confirmed_is_said_to_go_on() {
    let fleet = Fleet::start(2, |method| method.wait_ms = 300).await;
    fleet.with_old_copies(&["/a"]).await;
    fleet.pops[1].pause();
    let got = fleet.ask(A, &[]).await;
    assert_eq!(got.status, 202, "{got:?}");
    assert!(got.text().contains("goes on") && got.text().contains("pop-2: waiting"), "{}", got.text());
    let task = got.header("freshen-task").unwrap().parse().map(freshen_model::ids::TaskId).unwrap();
    assert_eq!(fleet.task(task).await.status, Status::Running);
    fleet.pops[1].resume();
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    assert_eq!(fleet.viewer(1).get(A).await.text(), "new");
}

#[tokio::test]
async fn p8_who_connects_from_elsewhere_may_not_purge() {
    let elsewhere = Fleet::start(1, |method| method.from = vec!["192.0.2.0/24".parse().unwrap()]).await;
    elsewhere.with_old_copies(&["/a"]).await;
    assert_eq!(elsewhere.ask(A, &[]).await.status, 403);
    // A field says nothing about where a request comes from.
    assert_eq!(elsewhere.ask(A, &[("x-forwarded-for", "192.0.2.1")]).await.status, 403);
    assert_eq!(elsewhere.viewer(0).get(A).await.both(), ("HIT", "old"));
}

#[tokio::test]
async fn p8_who_has_not_the_secret_may_not_purge() {
    let guarded = Fleet::start(1, |method| method.secret = Some(Token(SECRET.into()))).await;
    guarded.with_old_copies(&["/a"]).await;
    for fields in [vec![], vec![("authorization", "Bearer another")], vec![("fastly-key", "another")]] {
        let got = guarded.ask(A, &fields).await;
        assert_eq!(
            (got.status.as_u16(), got.header("www-authenticate")),
            (401, Some("Bearer")),
            "{fields:?}"
        );
    }
    assert_eq!(guarded.viewer(0).get(A).await.both(), ("HIT", "old"));
    assert_eq!(guarded.ask(A, &[("fastly-key", SECRET)]).await.status, 200);
    let bearer = format!("Bearer {SECRET}");
    assert_eq!(guarded.ask("a.example/b", &[("authorization", &bearer)]).await.status, 200);
}

#[tokio::test]
async fn p8_the_method_reaches_what_its_access_key_reaches() {
    let fleet = Fleet::start(1, |_| {}).await;
    let got = fleet.ask("b.example/a", &[]).await;
    assert_eq!(got.status, 400);
    assert!(got.text().contains("b.example is not a domain of this account"), "{}", got.text());
    let key = fleet.control.keys(ACCOUNT).await.unwrap().remove(0).id;
    fleet.control.disable_key(&key).await.unwrap();
    let got = fleet.ask(A, &[]).await;
    assert_eq!(got.status, 502);
    assert!(got.text().contains("access key"), "{}", got.text());
}

#[tokio::test]
async fn a_pop_without_a_key_to_purge_with_says_so() {
    let fleet = Installation::start(Plan::default()).await;
    let admin = fleet.pops[0].admin();
    let got = admin.send(Method::from_bytes(b"PURGE").unwrap(), A, &[], "").await;
    assert!(got.status == 501 && got.text().contains("[purge_method]"), "{got:?}");
    let got = admin.send(Method::from_bytes(b"BAN").unwrap(), A, &[], "").await;
    assert!(got.status == 405 && got.text().contains("PURGE"), "{got:?}");
}
