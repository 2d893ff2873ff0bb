//! The caching policy against another implementation of the same standard, and against whatever bytes there are.
//!
//! `http-cache-semantics` is the oracle where it is right. Left out, because it is not: what it does with stale copies
//! and with `proxy-revalidate` (it takes such a response for stale at once); names in another case than lower; quoted
//! lists (`private="x"` as plain `private`); `must-understand`, which it does not know; repeated directives, which it
//! takes for `must-revalidate`; `immutable`, for which it invents a day; `Pragma` in responses, which means nothing
//! there; a Date that is not the time of receipt, which it does not count as age.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use freshen_model::domain::Lifetimes;
use freshen_pop::policy::cache_control::{Directives, RequestControl};
use freshen_pop::policy::freshness::initial_age;
use freshen_pop::policy::range::{ContentRange, Multipart, PARTS_MAX, Wanted};
use freshen_pop::policy::storing::{self, NotStored};
use freshen_pop::policy::terms::Terms;
use freshen_pop::policy::vary::{NAMES_MAX, VaryBy};
use freshen_pop::policy::{conditional, fields, invalidation, range};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_cache_semantics::{CacheOptions, CachePolicy};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

const RECEIVED: Duration = Duration::from_secs(1_700_000_000);

fn at(seconds_ahead: i64) -> HeaderValue {
    let seconds = RECEIVED.as_secs().saturating_add_signed(seconds_ahead);
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(text).unwrap()
}

/// One directive of each name at most, in any order.
fn cache_control() -> impl Strategy<Value = String> {
    let with = |name: &'static str| {
        let seconds = prop_oneof![Just(0u32), 1u32..5000];
        seconds.prop_map(move |seconds| format!("{name}={seconds}")).boxed()
    };
    let plain = |name: &'static str| Just(name.to_owned()).boxed();
    let each = vec![
        plain("no-store"),
        plain("no-cache"),
        plain("private"),
        plain("public"),
        plain("must-revalidate"),
        plain("foo"),
        with("max-age"),
        with("s-maxage"),
        with("stale-while-revalidate"),
    ];
    let picked = proptest::sample::subsequence(each, 0..=4);
    picked.prop_flat_map(|directives| directives).prop_shuffle().prop_map(|said| said.join(", "))
}

prop_compose! {
    fn response()(
        control in proptest::option::of(cache_control()),
        expires in proptest::option::of(prop_oneof![
            3 => (-5000i64..5000).prop_map(at),
            1 => Just(HeaderValue::from_static("0")),
        ]),
        modified in proptest::option::of((-800_000i64..100).prop_map(at)),
        age in proptest::option::of(0u32..6000),
        cookie in proptest::bool::weighted(0.2),
    ) -> HeaderMap {
        let mut headers: HeaderMap = [(header::DATE, at(0))].into_iter().collect();
        let control = control.filter(|control| !control.is_empty()).map(|c| HeaderValue::try_from(c).unwrap());
        let cookie = cookie.then_some(HeaderValue::from_static("a=b"));
        for (name, value) in [
            (header::CACHE_CONTROL, control),
            (header::EXPIRES, expires),
            (header::LAST_MODIFIED, modified),
            (header::AGE, age.map(HeaderValue::from)),
            (header::SET_COOKIE, cookie),
        ] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// Statuses that the oracle knows; others it never stores, whatever the origin says.
fn status() -> impl Strategy<Value = StatusCode> {
    let known = vec![200u16, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];
    proptest::sample::select(known).prop_map(|status| StatusCode::from_u16(status).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn storing_and_freshness_are_those_of_the_oracle(
        headers in response(),
        status in status(),
        authorised in proptest::bool::weighted(0.3),
    ) {
        let mut request = Request::new(());
        if authorised {
            request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static("x"));
        }
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        *answer.headers_mut() = headers.clone();
        let received = SystemTime::UNIX_EPOCH + RECEIVED;
        let oracle = CachePolicy::new_options(&request, &answer, received, CacheOptions::default());

        let ours = storing::judge(request.headers(), status, &headers, &Lifetimes::default());
        // It stores what would never be fresh, and cookies, which it then never uses.
        let stores = matches!(ours, Ok(_) | Err(NotStored::NeverFresh | NotStored::SetsCookie));
        prop_assert_eq!(stores, oracle.is_storable(), "{:?}", ours);

        if ours.is_ok() {
            let terms = Terms::of(status, &headers, &Lifetimes::default(), RECEIVED);
            let age = initial_age(&headers, RECEIVED, RECEIVED);
            let left = terms.lifetime.saturating_sub(age);
            prop_assert_eq!(left.as_secs(), oracle.time_to_live(received).as_secs());
        }
    }
}

/// Names of all fields that the policy reads.
const NAMES: [&str; 21] = [
    "accept-encoding",
    "accept-language",
    "age",
    "cache-control",
    "cdn-cache-control",
    "connection",
    "content-location",
    "content-range",
    "content-length",
    "date",
    "etag",
    "expires",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-modified",
    "location",
    "range",
    "set-cookie",
    "transfer-encoding",
    "vary",
];

/// Words that come near to meaning something.
const WORDS: &str = "max-age s-maxage no-cache private no-store = =\" \" \\ , ; q= * 0 5 - / 99999999999999999999 \
                     bytes= bytes W/ Sun, 06 Nov 1994 08:49:37 GMT gzip en vary set-cookie etag // ? # : http é";

/// Any bytes that a field may hold, and words in a row.
fn value() -> impl Strategy<Value = HeaderValue> {
    let mut words: Vec<&str> = WORDS.split(' ').collect();
    words.extend([" ", ", ", "Sun, 06 Nov 1994 08:49:37 GMT", "bytes=0-5,"]);
    let near =
        proptest::collection::vec(proptest::sample::select(words), 0..12).prop_map(|words| words.concat());
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![2 => near.prop_map(String::into_bytes), 1 => bytes]
        .prop_filter_map("no field value", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

fn anything() -> impl Strategy<Value = HeaderMap> {
    let field = (proptest::sample::select(NAMES.to_vec()), value());
    proptest::collection::vec(field, 0..12).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_field_makes_any_rule_panic(
        request in anything(),
        response in anything(),
        status in 100u16..1000,
        length in prop_oneof![Just(0), 1u64..1000, Just(u64::MAX)],
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let said = Lifetimes { default_ttl_s: Some(1), negative_ttl_s: Some(2), override_s: Some(3) };
        for lifetimes in [said, Lifetimes::default()] {
            if let Err(why) = storing::judge(&request, status, &response, &lifetimes) {
                prop_assert!(!why.as_str().is_empty() && !why.explain(&response).is_empty());
            }
            let terms = Terms::of(status, &response, &lifetimes, RECEIVED);
            let age = initial_age(&response, RECEIVED, RECEIVED);
            let _ = (terms.fresh(age), terms.serves_if_error(age), terms.serves_while_revalidating(age));
        }
        let _ = RequestControl::of(&request);
        let _ = conditional::not_modified(&request, status, &response);
        let _ = (conditional::validators(&response), conditional::confirms(&request, &response));
        let _ = (range::opening(&request), range::strong_validator(&response), ContentRange::of(&response));
        let _ = invalidation::also("a.example", "/a/b?c", &response);
        let _ = invalidation::invalidates(&Method::POST, status);
        let mut stored = response.clone();
        fields::prepare(&mut stored);
        fields::freshen(&mut stored, &request);
        fields::stamp(&mut stored, RECEIVED);
        fields::shorten_to_not_modified(&mut stored);
        for name in ["connection", "transfer-encoding", "content-length"] {
            prop_assert!(!stored.contains_key(name));
        }

        match range::ranges(&request, &response, length) {
            Wanted::Whole | Wanted::Unsatisfiable => {}
            Wanted::One(part) => prop_assert!(part.start() <= part.end() && *part.end() < length),
            Wanted::Several(parts) => {
                prop_assert!((2..=PARTS_MAX).contains(&parts.len()));
                prop_assert!(parts.iter().all(|part| part.start() <= part.end() && *part.end() < length));
                let mut sorted = parts.clone();
                sorted.sort_by_key(|part| *part.start());
                prop_assert!(sorted.windows(2).all(|pair| pair[0].end() < pair[1].start()));
                let _ = Multipart::new([0; 16], None, length).content_length(&parts);
            }
        }

        if let Some(by) = VaryBy::of(&response) {
            let text = by.select(&request);
            prop_assert!(text.lines().count() <= NAMES_MAX);
            prop_assert_eq!(by.is_nothing(), text.is_empty());
        }
    }

    #[test]
    fn what_is_forbidden_is_never_stored(
        mut response in anything(),
        status in 200u16..600,
        forbidding in proptest::sample::select(vec!["no-store", "private", "No-Store", "max-age=9,private"]),
    ) {
        response.remove("cdn-cache-control");
        let status = StatusCode::from_u16(status).unwrap();
        response.append(header::CACHE_CONTROL, HeaderValue::from_static(forbidding));
        let lifetimes = Lifetimes { override_s: Some(60), ..Lifetimes::default() };
        prop_assert!(storing::judge(&HeaderMap::new(), status, &response, &lifetimes).is_err());
    }

    #[test]
    fn spaces_and_lines_make_no_other_request(
        items in proptest::collection::vec("[a-z0-9;=]{1,6}", 1..6),
        spaces in proptest::collection::vec("[ \t]{0,2}", 6),
        cut in 0usize..6,
    ) {
        let name = HeaderName::from_static("x-a");
        let response = [(header::VARY, HeaderValue::from_static("X-A"))].into_iter().collect();
        let by = VaryBy::of(&response).unwrap();
        let plain = HeaderValue::try_from(items.join(",")).unwrap();
        let spaced: Vec<String> = items.iter().zip(&spaces).map(|(item, space)| format!("{space}{item}")).collect();
        let (first, second) = spaced.split_at(cut.min(spaced.len()));
        let mut request = HeaderMap::new();
        for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
            request.append(&name, HeaderValue::try_from(part.join(" ,")).unwrap());
        }
        let expected = by.select(&[(name.clone(), plain)].into_iter().collect());
        prop_assert_eq!(by.select(&request), expected.clone());
        request.append(&name, HeaderValue::from_static("more"));
        prop_assert_ne!(by.select(&request), expected);
    }
}

#[test]
fn the_oracle_can_disagree() {
    // What is left out above is left out for a reason: here it is wrong.
    let headers: HeaderMap =
        [(header::CACHE_CONTROL, HeaderValue::from_static("MAX-AGE=60"))].into_iter().collect();
    let mut answer = Response::new(());
    *answer.headers_mut() = headers.clone();
    let oracle = CachePolicy::new(&Request::new(()), &answer);
    assert_eq!(oracle.time_to_live(SystemTime::now()), Duration::ZERO);
    assert_eq!(Directives::governing(&headers).max_age, Some(60));
}
