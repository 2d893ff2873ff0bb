//! Submitting: what is refused, how it is said, and that a refusal changes nothing.

use crate::stage::{Stage, request, settings};
use freshen_control::{CheckError, SubmitError, SubmitRequest, Terms, Then};
use freshen_ledger::Ledger;
use freshen_model::area::Area;
use freshen_model::domain::{QueryPolicy, Settings};
use freshen_model::key::Key;
use freshen_model::location::Scheme;
use freshen_model::order::Body;
use freshen_model::pattern::Pattern;
use freshen_model::quota::{Limits, QuotaKind};
use freshen_model::rule::{Matcher, Mode};
use freshen_model::task::TaskKind;

async fn refused(stage: &Stage, request: SubmitRequest) -> SubmitError {
    let end = stage.control.log_end();
    let error = stage.control.submit("ann", request).await.unwrap_err();
    assert_eq!(stage.control.log_end(), end, "a refusal appends nothing");
    error
}

#[tokio::test]
async fn every_bad_line_is_told_with_its_place() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let lines = [
        "http://a.example/fine",
        "http://a.example/with space",
        "a.example/no-scheme",
        "http://a.example/é",
        "http://10.0.0.1/x",
    ];
    let error = refused(&stage, request(TaskKind::Url, &lines)).await;
    assert_eq!(
        error.to_string(),
        "line 2: raw space in URL, write %20\n\
         line 3: no scheme, write http:// or https:// before it\n\
         line 4: raw non-ASCII character 'é' in URL, write it as percent-encoded UTF-8\n\
         line 5: \"10.0.0.1\" is an address, name the accelerated domain"
    );
    let many = vec!["nonsense"; 150];
    let SubmitError::BadLines(bad) = refused(&stage, request(TaskKind::Url, &many)).await else { panic!() };
    assert_eq!((bad.len(), bad[99].line), (100, 100));
    let used = stage.control.quota("ann").await.unwrap();
    assert!(used.iter().all(|quota| quota.used == 0), "{used:?}");
}

#[tokio::test]
async fn p8_a_foreign_domain_is_refused_like_an_unknown_one() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let mut said = Vec::new();
    for (host, kind) in
        [("b.example", TaskKind::Url), ("c.example", TaskKind::Url), ("b.example", TaskKind::Prefetch)]
    {
        let error = refused(&stage, request(kind, &[&format!("http://{host}/x")])).await.to_string();
        said.push(error.replace(host, "HOST"));
    }
    assert_eq!(said, ["line 1: HOST is not a domain of this account"; 3]);
    for host in ["b.example", "c.example"] {
        let error = stage.control.check("ann", &format!("http://{host}/x"), false).await.unwrap_err();
        assert!(matches!(error, CheckError::ForeignDomain(_)), "{error:?}");
        let error = stage.control.remove_domain(Some("ann"), host).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no domain {host:?}"));
    }
}

#[tokio::test]
async fn directories_and_prefetches_are_told_apart() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    for (kind, line, said) in [
        (TaskKind::Directory, "http://a.example/d", "a directory ends with /, write it so or purge the URL"),
        (
            TaskKind::Directory,
            "http://a.example/d/?x",
            "a directory has no query, remove it or purge the URL",
        ),
        (TaskKind::Prefetch, "http://a.example/d/", "a directory cannot be prefetched, name the files"),
        (TaskKind::Prefetch, "http://a.example/d/.", "a directory cannot be prefetched, name the files"),
    ] {
        let error = refused(&stage, request(kind, &[line])).await;
        assert_eq!(error.to_string(), format!("line 1: {said}"));
    }
    stage.submit(TaskKind::Prefetch, &["http://a.example/", "http://a.example"]).await;
    stage.submit(TaskKind::Directory, &["http://a.example/"]).await;
    stage.submit(TaskKind::Url, &["http://a.example/d/"]).await;
}

#[tokio::test]
async fn lists_have_limits() {
    let stage = Stage::set().await;
    let error = refused(&stage, request(TaskKind::Url, &["http://a.example/x"])).await;
    assert_eq!(error.to_string(), "no POP is registered, add one first");
    let _pop = stage.pop("pop-a").await;
    let error = refused(&stage, request(TaskKind::Url, &[])).await;
    assert!(matches!(error, SubmitError::Empty));
    let error = refused(&stage, request(TaskKind::Prefetch, &["http://a.example/x"; 101])).await;
    assert_eq!(error.to_string(), "101 lines, at most 100 prefetch entries fit into one submission");
    let overseas =
        |kind| SubmitRequest { area: Some(Area::Overseas), ..request(kind, &["http://a.example/x"]) };
    let error = refused(&stage, overseas(TaskKind::Prefetch)).await;
    assert_eq!(error.to_string(), "no POP is registered in area overseas, add one first");
    assert!(matches!(refused(&stage, overseas(TaskKind::Url)).await, SubmitError::AreaOfPurge));
}

#[tokio::test]
async fn over_quota_is_refused_whole() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    stage.control.set_limits("ann", Limits { url: 3, ..Limits::default() }).await.unwrap();
    stage.submit(TaskKind::Url, &["http://a.example/1", "http://a.example/1"]).await;
    let error = refused(&stage, request(TaskKind::Url, &["http://a.example/2", "http://a.example/3"])).await;
    assert!(matches!(error, SubmitError::OverQuota(quota, 2) if quota.remaining() == 1), "{error:?}");
    assert_eq!(error.to_string(), "2 lines, but 1 of 3 url entries are left today");
    let used = async || stage.control.quota("ann").await.unwrap()[0];
    assert_eq!((used().await.kind, used().await.used), (QuotaKind::Url, 2));
    // Noon UTC is 20:00 in the quota's zone: four hours later it is another day.
    stage.clock.advance(std::time::Duration::from_secs(4 * 3600));
    assert_eq!(used().await.used, 0);
    stage.submit(TaskKind::Url, &["http://a.example/2", "http://a.example/3"]).await;
}

/// The purge could be, and the prefetch behind it cannot.
#[tokio::test]
async fn what_cannot_be_followed_counts_for_nothing_either() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let limits = Limits { urls_per_minute: 1, ..Limits::default() };
    stage.control.set_limits("ann", limits).await.unwrap();
    let stopped = Settings { stopped: true, ..settings() };
    stage.control.set_domain(Some("ann"), "a.example", &stopped).await.unwrap();
    let purge = || request(TaskKind::Url, &["http://a.example/x"]);
    let terms = Terms { then: Some(Then::Prefetch), ..Terms::default() };
    let refused = stage.control.submit_on("ann", purge(), terms).await;
    assert!(matches!(refused, Err(SubmitError::BadLines(_))), "{refused:?}");
    stage.control.submit("ann", purge()).await.unwrap();
}

#[tokio::test]
async fn keys_are_made_by_the_settings_of_their_domain() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let mut changed = settings();
    changed.query = QueryPolicy::Ignore;
    stage.control.set_domain(Some("ann"), "a.example", &changed).await.unwrap();
    let force = SubmitRequest {
        force: true,
        scheme: Scheme::Optional,
        follow: None,
        ..request(TaskKind::Directory, &["A.Example:80/%64/"])
    };
    let url = stage.purge("https://a.example/x?y=1").await;
    let directory = stage.control.submit("ann", force).await.unwrap();
    let orders = stage.ledger.orders_after(url.seq.previous(), 1 << 20).await.unwrap().orders;
    let rules = |at: usize| match &orders[at].body {
        Body::Purge { task, rules, .. } => (task.unwrap(), rules[0].clone()),
        other => panic!("{other:?}"),
    };
    let (task, rule) = rules(0);
    assert_eq!(task, url.task);
    assert!(matches!(rule.matcher, Matcher::Url { key } if key.to_string() == "a.example/x"));
    let (task, rule) = rules(1);
    assert_eq!((task, rule.mode), (directory.task, Mode::Evict));
    assert!(matches!(rule.matcher, Matcher::Directory { key } if key.to_string() == "a.example/d/"));
    // What was submitted is shown as it was submitted.
    let lines = stage.control.task_lines(Some("ann"), directory.task).await.unwrap().unwrap();
    assert_eq!((lines[0].url.as_str(), lines[0].domain.as_str()), ("A.Example:80/%64/", "a.example"));
    assert_eq!(stage.control.task(Some("bob"), directory.task).await.unwrap(), None);
}

#[tokio::test]
async fn a_soft_purge_of_a_url_expires_it() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let soft = SubmitRequest { soft: true, ..request(TaskKind::Url, &["http://a.example/x"]) };
    let soft = stage.control.submit("ann", soft).await.unwrap();
    let orders = stage.ledger.orders_after(soft.seq.previous(), 1 << 20).await.unwrap().orders;
    let Body::Purge { rules, .. } = &orders[0].body else { panic!("{orders:?}") };
    assert_eq!(rules[0].mode, Mode::Expire);
    assert_eq!(stage.control.task(None, soft.task).await.unwrap().unwrap().mode, Some(Mode::Expire));
}

/// The rules of what was submitted.
async fn rules(stage: &Stage, request: SubmitRequest) -> Vec<(Matcher, Mode)> {
    let submitted = stage.control.submit("ann", request).await.unwrap();
    let orders = stage.ledger.orders_after(submitted.seq.previous(), 1 << 20).await.unwrap().orders;
    let Body::Purge { rules, .. } = &orders[0].body else { panic!("{orders:?}") };
    rules.iter().map(|rule| (rule.matcher.clone(), rule.mode)).collect()
}

#[tokio::test]
async fn each_kind_becomes_its_rule_and_counts_against_its_quota() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let shared = Settings { share_cache: Some("a.example".into()), ..settings() };
    stage.control.add_domain("ann", "shared.example", &shared).await.unwrap();
    stage.control.add_domain("ann", "z.example", &settings()).await.unwrap();
    let space = || "a.example".to_owned();
    let key = |path| Key::from_parts("a.example", path, None);
    let tag = |space: String| Matcher::Tag { space, tag: "t u".into() };
    for (kind, line, due) in [
        (TaskKind::Query, "http://shared.example/%78", vec![Matcher::Query { key: key("/x") }]),
        (
            TaskKind::Regex,
            "http://shared.example/[0-9]+|/x\\?y",
            vec![Matcher::Regex { space: space(), pattern: Pattern::new("/[0-9]+|/x\\?y") }],
        ),
        (TaskKind::Host, "Shared.example", vec![Matcher::Space { space: space() }]),
        // Three domains, two cache spaces.
        (TaskKind::Tag, " t u ", vec![tag(space()), tag("z.example".into())]),
    ] {
        for (force, mode) in [(false, Mode::Expire), (true, Mode::Evict)] {
            let made = rules(&stage, SubmitRequest { force, ..request(kind, &[line]) }).await;
            assert_eq!(made, due.iter().map(|due| (due.clone(), mode)).collect::<Vec<_>>(), "{kind:?}");
        }
    }
    let used = stage.control.quota("ann").await.unwrap();
    let used: Vec<u64> = used.iter().map(|quota| quota.used).collect();
    // URLs, directories (the hosts), prefetches, queries, patterns, tags (in three domains each).
    assert_eq!(used, [0, 2, 0, 2, 2, 6]);
    let one = SubmitRequest { domains: vec!["Z.example".into()], ..request(TaskKind::Tag, &["t"]) };
    assert_eq!(rules(&stage, one).await.len(), 1);
}

#[tokio::test]
async fn what_no_rule_can_be_made_of_is_told() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    for (kind, line, said) in [
        (
            TaskKind::Query,
            "http://a.example/x?y",
            "all queries of the path are purged, remove the one that is written or purge the URL",
        ),
        (TaskKind::Host, "http://a.example/x", "a host has no path, remove it or purge the directory"),
        (TaskKind::Host, "b.example", "b.example is not a domain of this account"),
        (TaskKind::Regex, "http://b.example/.*", "b.example is not a domain of this account"),
        (
            TaskKind::Regex,
            "http://a.example/(?=x)",
            "not a regular expression: look-around, including look-ahead and look-behind, is not supported; \
             write \\ before a character that stands for itself",
        ),
        (
            TaskKind::Regex,
            "http://a.example",
            "the pattern does not begin with /, write /.* before it to match in every directory",
        ),
        (TaskKind::Tag, "a,b", "',' in a tag, write one tag a line"),
    ] {
        let error = refused(&stage, request(kind, &[line])).await;
        assert_eq!(error.to_string(), format!("line 1: {said}"));
    }
    let tags = |domains: &[&str]| SubmitRequest {
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        ..request(TaskKind::Tag, &["t"; 600])
    };
    let error = refused(&stage, tags(&["a.example", "b.example"])).await;
    assert_eq!(error.to_string(), "b.example is not a domain of this account");
    stage.control.add_domain("ann", "z.example", &settings()).await.unwrap();
    let error = refused(&stage, tags(&[])).await;
    assert_eq!(error.to_string(), "1200 lines, at most 1000 tag entries fit into one submission");
    let named = SubmitRequest {
        domains: vec!["a.example".into()],
        ..request(TaskKind::Url, &["http://a.example/x"])
    };
    assert!(matches!(refused(&stage, named).await, SubmitError::DomainsOfLines));
}
