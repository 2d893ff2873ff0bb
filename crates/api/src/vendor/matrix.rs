//! The page of vendor compatibility says of each parameter what the code does with it.

use super::{Action, Call, Params, params::asked};
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../../../docs/reference/api-compat.md");
/// Looked at, so that nonsense is refused, and of no effect.
const ONLY_CHECKED: [&str; 1] = ["L2Preload"];

/// What the page says of an action's parameters: `true` where they make a difference.
fn told(action: Action) -> BTreeMap<String, bool> {
    let section = PAGE.split("\n## ").find(|section| section.lines().next() == Some(action.name()));
    let rows = section.expect("a section").lines().skip_while(|line| !line.starts_with("| parameter"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let mut told = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        if cells[0].starts_with("answer") {
            continue;
        }
        // Values stand behind a colon, or after the name in the same part.
        let names = cells[0].split(':').next().unwrap_or_default().split(", ");
        let names = names.filter_map(|part| part.strip_prefix('`')?.split('`').next());
        let counts = match cells[1].split([':', ' ']).next() {
            Some("done" | "refused") => true,
            Some("ignored") => false,
            _ => panic!("{} is neither done nor ignored nor refused", cells[0]),
        };
        for name in names {
            // A parameter may be done for one value and refused for another.
            *told.entry(name.to_owned()).or_insert(counts) |= counts;
        }
    }
    told
}

/// What the code looks at for an action, given parameters that nothing is wrong with.
fn looked_at(action: Action) -> BTreeSet<String> {
    const EVERYTHING: [(&str, &str); 39] = [
        ("ObjectPath", "a.example/1"),
        ("ObjectType", "file"),
        ("Force", "true"),
        ("Area", "domestic"),
        ("L2Preload", "true"),
        ("WithHeader", r#"{"Accept-Encoding":["gzip"]}"#),
        ("QueryHashkey", "true"),
        ("ConsistencyHash", "true"),
        ("TaskId", "1"),
        ("DomainName", "a.example"),
        ("DomainNames", "a.example"),
        ("Status", "Complete"),
        ("StartTime", "2027-01-15T07:00:00Z"),
        ("EndTime", "2027-01-15T08:00:00Z"),
        ("PageNumber", "1"),
        ("PageSize", "20"),
        ("CacheTag", "a"),
        ("Sources", r#"[{"content":"192.0.2.1"}]"#),
        ("DomainSearchType", "full_match"),
        ("DomainStatus", "online"),
        ("Functions", r#"[{"functionName":"range","functionArgs":[{"argName":"enable","argValue":"on"}]}]"#),
        ("FunctionNames", "range"),
        ("Interval", "300"),
        ("ResourceGroupId", "1"),
        ("MediaIds", "film"),
        ("TaskType", "Refresh"),
        ("Formats", "mp4"),
        ("Definitions", "HD"),
        ("StreamType", "video"),
        ("ResultType", "Single"),
        ("SliceFlag", "true"),
        ("SliceCount", "3"),
        ("MediaRefreshJobId", "0123456789abcdef0123456789abcdef"),
        ("MediaId", "film"),
        ("SSLProtocol", "on"),
        ("SSLPub", "a certificate"),
        ("SSLPri", "its key"),
        ("CertName", "ours"),
        ("CertType", "upload"),
    ];
    asked::begin();
    Call::parse(action, &Params::from(EVERYTHING), 1_800_000_000).expect("nothing is wrong with it");
    asked::end()
}

#[test]
fn every_parameter_is_as_the_page_says() {
    for action in Action::ALL.iter().copied() {
        let (told, looked_at) = (told(action), looked_at(action));
        let name = action.name();
        for parameter in &looked_at {
            let counts = told.get(parameter).copied();
            let expected = !ONLY_CHECKED.contains(&parameter.as_str());
            assert_eq!(counts, Some(expected), "{name} looks at {parameter}, which the page has otherwise");
        }
        for (parameter, counts) in told {
            let looks = looked_at.contains(&parameter);
            assert!(looks || !counts, "{name} never looks at {parameter}, but the page says that it does");
        }
    }
}
