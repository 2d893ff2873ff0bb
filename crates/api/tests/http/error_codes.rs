//! Every error that the vendor's API has, provoked over a socket: status, code and message as they are documented.
//!
//! Who adds a kind of error adds it to `kinds!`, for else this does not compile, and a case of it, for else it fails.

use crate::stage::{ADA, ANN, Answer, BOB, Key, Stage, settings, within};
use freshen_api::signature::encode::{Pairs, canonical};
use freshen_api::signature::hmac_sha1;
use freshen_api::timestamp;
use freshen_api::vendor::{ErrorKind, Product, VendorError};
use freshen_model::quota::Limits;
use freshen_model::rights::Rights;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PURGE: &str = "RefreshVodObjectCaches";
const PREFETCH: &str = "PreloadVodObjectCaches";
const TASKS: &str = "DescribeVodRefreshTasks";
const QUOTA: &str = "DescribeVodRefreshQuota";

/// All kinds, by name and as a pattern.
macro_rules! kinds {
    ($($name:ident $(($any:pat))? $({ $rest:tt })?,)*) => {
        const KINDS: &[&str] = &[$(stringify!($name),)*];

        fn name(kind: &ErrorKind) -> &'static str {
            match kind {
                $(ErrorKind::$name $(($any))? $({ $rest })? => stringify!($name),)*
            }
        }
    };
}

kinds! {
    Missing(_), Invalid(_), ActionNotFound, ApiNotFound, InvalidVersion, UnsupportedHttpMethod, InvalidFormat,
    RequestTooLarge, RequestTimeout, AccessKeyNotFound, AccessKeyInactive, TimestampMalformed, TimestampExpired,
    NonceUsed, InvalidSignatureMethod, IncompleteSignature, SignatureDoesNotMatch { .. }, SecurityTokenExpired,
    SecurityTokenMismatch, ThrottlingUser { .. }, Throttling { .. }, ForbiddenRam(_), InternalError,
    ServiceUnavailable, IllegalOperation, DomainNotFound, DomainOffline, ServiceBusy, ExtensiveDomain,
    QuotaExceededRefresh, QuotaExceededPreload, QuotaPerMinuteExceededRefresh, PreloadQueueFull, MissingParameter(_),
    ObjectTypeNotSupported, ObjectTypeMalformed, ObjectPathMalformed, ObjectPathTooLong { .. }, PreloadTooLong { .. },
    TaskIdMalformed, TimeSingle, MissingObjectType, Malformed(_), DomainExists, EndTimeMismatch, TimeTooLongAgo,
    ValueNotSupported(_),
}

/// What has been provoked so far.
#[derive(Default)]
struct Book(BTreeSet<&'static str>);

impl Book {
    /// Holds an answer against the kind it is to be, in the words of VOD.
    fn is(&mut self, kind: ErrorKind, (status, body): (u16, Value), code: &str, message: &str) {
        self.is_of(Product::Vod, kind, (status, body), code, message);
    }

    fn is_of(
        &mut self,
        product: Product,
        kind: ErrorKind,
        (status, body): (u16, Value),
        code: &str,
        message: &str,
    ) {
        self.0.insert(name(&kind));
        let error = VendorError::from(kind).of(product);
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{name} of {body}"));
        assert_eq!((text("Code"), status), (code, error.status().as_u16()), "{body}");
        assert_eq!((error.code().as_ref(), error.message().as_ref()), (code, message));
        let detail = text("Recommend");
        let expected = if detail.is_empty() { message.to_owned() } else { format!("{message} ({detail})") };
        assert_eq!(text("Message"), expected, "{code}");
        let more = usize::from(body.get("AccessDeniedDetail").is_some());
        assert_eq!(body.as_object().unwrap().len(), 5 + more, "{body}");
        assert!(!text("RequestId").is_empty() && body["HostId"].is_string(), "{body}");
    }
}

/// A request of the vendor's first scheme in the query; what is given takes the place of what is usual, none takes it away.
async fn hmac(stage: &Stage, nonce: &str, other: &[(&str, Option<&str>)]) -> Answer {
    let now = timestamp::format(stage.control.wall_ms() / 1_000).to_string();
    let usual = [
        ("Action", QUOTA),
        ("Version", "2017-03-21"),
        ("AccessKeyId", ANN.0),
        ("Format", "JSON"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", nonce),
        ("Timestamp", &now),
    ];
    let mut pairs: Pairs = usual.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    for (name, value) in other {
        match value {
            Some(value) => pairs.insert((*name).into(), (*value).into()),
            None => pairs.remove(*name),
        };
    }
    if !pairs.contains_key("Signature") {
        let string_to_sign = hmac_sha1::string_to_sign("GET", &pairs);
        pairs.insert("Signature".into(), hmac_sha1::signature(&ANN.secret(), &string_to_sign));
    }
    stage.ask("GET", &format!("/?{}", canonical(&pairs)), &[]).await
}

fn told(answer: Answer) -> (u16, Value) {
    (answer.status, answer.json())
}

#[tokio::test]
async fn every_error_that_there_is_can_be_had_and_is_as_documented() {
    let mut book = Book::default();
    let stage = Stage::set().await;
    for account in ["ann", "ada"] {
        let limits = Limits { requests_per_s: 10_000, ..Limits::default() };
        stage.control.set_limits(account, limits).await.unwrap();
    }
    without_pops(&stage, &mut book).await;
    let _pop = stage.pop("pop-asia").await;
    of_the_gateway(&stage, &mut book).await;
    of_keys(&stage, &mut book).await;
    of_parameters(&stage, &mut book).await;
    of_domains(&stage, &mut book).await;
    of_limits(&stage, &mut book).await;
    of_crowds(&stage, &mut book).await;
    of_a_broken_ledger(&stage, &mut book).await;
    let without: Vec<&str> = KINDS.iter().copied().filter(|kind| !book.0.contains(kind)).collect();
    assert_eq!(without, [""; 0], "errors without a case");
}

async fn without_pops(stage: &Stage, book: &mut Book) {
    let answer = stage.call(ANN, PURGE, &[("ObjectPath", "a.example/1")]).await;
    let message = "The request has failed due to a temporary failure of the server.";
    book.is(ErrorKind::ServiceUnavailable, answer, "ServiceUnavailable", message);
}

async fn of_the_gateway(stage: &Stage, book: &mut Book) {
    use ErrorKind as E;
    const NO_API: &str = "Specified api is not found, please check your url and method.";
    for (kind, method, target, code, message) in [
        (E::Missing("Action"), "GET", "/", "MissingAction", "Action is mandatory for this action."),
        (E::ApiNotFound, "POST", "/nothing", "InvalidApi.NotFound", NO_API),
        (E::ActionNotFound, "GET", "/?Action=a&Version=2017-03-21", "InvalidAction.NotFound", NO_API),
        (
            E::InvalidVersion,
            "GET",
            "/?Action=DescribeVodRefreshQuota&Version=2018-05-10",
            "InvalidVersion",
            "Specified parameter Version is not valid.",
        ),
        (E::UnsupportedHttpMethod, "PUT", "/", "UnsupportedHTTPMethod", "This http method not supported."),
        (
            E::InvalidFormat,
            "GET",
            "/?Format=yaml",
            "InvalidParameter.Format",
            "Specified parameter format is not valid.",
        ),
        (
            E::invalid("Action"),
            "GET",
            "/?Action=a&Action=b",
            "InvalidAction",
            "Specified parameter Action is not valid.",
        ),
    ] {
        book.is(kind, told(stage.ask(method, target, &[]).await), code, message);
    }
    let large = format!("GET /?a={} HTTP/1.1\r\n\r\n", "x".repeat(2 << 20));
    let message = "The request exceeds the size limit.";
    book.is(E::RequestTooLarge, stage.raw(large.as_bytes()).await, "RequestTooLarge", message);
    let message = "The request was not received in time.";
    book.is(E::RequestTimeout, broken_off(stage).await, "RequestTimeout", message);
}

/// What is said to a body that ends before it should.
async fn broken_off(stage: &Stage) -> (u16, Value) {
    let mut socket = TcpStream::connect(&stage.address).await.unwrap();
    socket
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nno chunk\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    within(socket.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

async fn of_keys(stage: &Stage, book: &mut Book) {
    use ErrorKind as E;
    for (kind, other, code, message) in [
        (
            E::TimestampMalformed,
            ("Timestamp", Some("yesterday")),
            "InvalidTimeStamp.Format",
            "Specified time stamp or date value is not well formatted.",
        ),
        (
            E::TimestampExpired,
            ("Timestamp", Some("2017-10-10T12:02:54Z")),
            "InvalidTimeStamp.Expired",
            "Specified time stamp or date value is expired.",
        ),
        (
            E::InvalidSignatureMethod,
            ("SignatureMethod", Some("HMAC-MD5")),
            "InvalidSignatureMethod",
            "Specified signature method is not valid.",
        ),
        (
            E::AccessKeyNotFound,
            ("AccessKeyId", Some("nobody")),
            "InvalidAccessKeyId.NotFound",
            "Specified access key is not found.",
        ),
        (
            E::SecurityTokenMismatch,
            ("SecurityToken", Some("another's")),
            "InvalidSecurityToken.MismatchWithAccessKey",
            "Specified SecurityToken mismatch with the AccessKey.",
        ),
    ] {
        book.is(kind, told(hmac(stage, code, &[other]).await), code, message);
    }
    let used = "Specified signature nonce was used already.";
    assert_eq!(hmac(stage, "once", &[]).await.status, 200);
    book.is(E::NonceUsed, told(hmac(stage, "once", &[]).await), "SignatureNonceUsed", used);

    // The message carries what we signed, behind its only colon: SDKs compare it with their own.
    let (status, body) = told(hmac(stage, "wrong", &[("Signature", Some("d3Jvbmc="))]).await);
    let message = body["Message"].as_str().unwrap().to_owned();
    let string_to_sign = message.split_once(':').unwrap().1.to_owned();
    assert!(string_to_sign.starts_with("GET&%2F&AccessKeyId%3Dann-key%26Action%3D"), "{message}");
    let kind = E::SignatureDoesNotMatch { string_to_sign: string_to_sign.clone() };
    let expected = format!(
        "Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}"
    );
    book.is(kind, (status, body), "SignatureDoesNotMatch", &expected);

    let mut bare = stage.signed(ANN, "POST", "/", QUOTA, b"");
    let authorization = bare.headers()["authorization"].to_str().unwrap().replace("host;", "");
    bare.headers_mut().insert("authorization", authorization.parse().unwrap());
    let answer = told(stage.send(bare).await);
    book.is(E::IncompleteSignature, answer, "IncompleteSignature", "The request signature is not complete.");

    let short = stage.control.issue("ann", Rights::default(), Duration::from_secs(60)).await.unwrap();
    stage.clock.advance(Duration::from_secs(61));
    let credentials = freshen_api::signature::acs3::Credentials {
        access_key_id: &short.key.id,
        secret: &short.key.secret,
        security_token: Some(&short.token),
    };
    let answer = told(stage.send(with(stage, &credentials)).await);
    let message = "Specified SecurityToken is expired.";
    book.is(E::SecurityTokenExpired, answer, "InvalidSecurityToken.Expired", message);

    stage.control.add_key("ann", Some("lost-key".into()), Some("lost-key-secret".into())).await.unwrap();
    stage.control.disable_key("lost-key").await.unwrap();
    let answer = stage.call(Key("lost-key"), QUOTA, &[]).await;
    let message = "Specified access key is disabled.";
    book.is(E::AccessKeyInactive, answer, "InvalidAccessKeyId.Inactive", message);
}

/// A request with these credentials.
fn with(
    stage: &Stage,
    credentials: &freshen_api::signature::acs3::Credentials<'_>,
) -> Request<Full<bytes::Bytes>> {
    let unsigned = freshen_api::signature::acs3::Unsigned {
        method: "POST",
        path: "/",
        query: "",
        host: &stage.address,
        content_type: None,
        body: b"",
        action: QUOTA,
        version: "2017-03-21",
        date: stage.control.wall_ms() / 1_000,
        nonce: "temporary",
    };
    let headers = freshen_api::signature::acs3::sign(&unsigned, credentials).unwrap();
    let mut request = Request::post(format!("http://{}/", stage.address)).body(Full::default()).unwrap();
    *request.headers_mut() = headers;
    request
}

async fn of_parameters(stage: &Stage, book: &mut Book) {
    use ErrorKind as E;
    use Product::{Cdn, Vod};
    let at = |days: i64| timestamp::format(stage.control.wall_ms() / 1_000 - days * 86_400).to_string();
    let (now, yesterday, last_week, tomorrow) = (at(0), at(1), at(7), at(-1));
    let missing =
        "The input parameter \"ObjectPath\" that is mandatory for processing this request is not supplied.";
    let many = vec!["a.example/1"; 101].join("\n");
    let very_many = vec!["a.example/1"; 1_001].join("\n");
    let (cdn_purge, cdn_push, cdn_tasks) = ("RefreshObjectCaches", "PushObjectCache", "DescribeRefreshTasks");
    type Case<'a> = (Product, ErrorKind, &'a str, Vec<(&'a str, &'a str)>, &'a str, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (Vod, E::MissingParameter("ObjectPath"), PURGE, vec![], "MissingParameter", missing),
        (
            Vod,
            E::ObjectTypeNotSupported,
            PURGE,
            vec![("ObjectPath", "a.example/1"), ("ObjectType", "Moon")],
            "InvalidObjectType.ValueNotSupported",
            "The specified value of \"ObjectType\" is not supported.",
        ),
        (
            Cdn,
            E::ObjectTypeMalformed,
            cdn_purge,
            vec![("ObjectPath", "a.example/1"), ("ObjectType", "Moon")],
            "InvalidObjectType.Malformed",
            "The specified ObjectType is invalid.",
        ),
        (
            Vod,
            E::ObjectPathMalformed,
            PURGE,
            vec![("ObjectPath", "a.example/a b")],
            "InvalidObjectPath.Malformed",
            "The specific value of parameter ObjectPath is malformed.",
        ),
        (
            Cdn,
            E::ObjectPathMalformed,
            cdn_purge,
            vec![("ObjectPath", "a.example/a b")],
            "InvalidObjectPath.Malformed",
            "The specified ObjectPath is invalid.",
        ),
        (
            Vod,
            E::ExtensiveDomain,
            PURGE,
            vec![("ObjectPath", "*.a.example/1")],
            "InvalidExtensiveDomain.ValueNotSupported",
            "Extensive domain not supported.",
        ),
        (
            Vod,
            E::ObjectPathTooLong { lines_max: 1_000 },
            PURGE,
            vec![("ObjectPath", &very_many)],
            "InvalidObjectPath.Size.Malformed",
            "The size of ObjectPath is bigger than 1000.",
        ),
        (
            Cdn,
            E::ObjectPathTooLong { lines_max: 1_000 },
            cdn_purge,
            vec![("ObjectPath", &very_many)],
            "SingleRequest.OverLimit",
            "A maximum of 1000 URLs are supported for each request.",
        ),
        (
            Vod,
            E::PreloadTooLong { lines_max: 100 },
            PREFETCH,
            vec![("ObjectPath", &many)],
            "InvalidObjectPath.Size.Malformed",
            "The size of ObjectPath is bigger than 100.",
        ),
        (
            Cdn,
            E::PreloadTooLong { lines_max: 100 },
            cdn_push,
            vec![("ObjectPath", &many)],
            "InvalidObjectPath.ExceedsMaximum",
            "The maximum number of urls is exceeded.",
        ),
        (
            Vod,
            E::TaskIdMalformed,
            TASKS,
            vec![("TaskId", "moon")],
            "InvalidTaskId.Malformed",
            "Specified TaskId is malformed.",
        ),
        (
            Vod,
            E::TimeSingle,
            TASKS,
            vec![("StartTime", &yesterday)],
            "MissingParameter",
            "StartTime and EndTime can not be single.",
        ),
        (
            Cdn,
            E::TimeSingle,
            cdn_tasks,
            vec![("EndTime", &now)],
            "MissingTimeParameter",
            "The StartTime and EndTime must be both specified.",
        ),
        (
            Vod,
            E::MissingObjectType,
            TASKS,
            vec![("Status", "Failed")],
            "MissingParameter.ObjectType",
            "If DomainName or Status is provided, ObjectType can not be empty.",
        ),
        (
            Vod,
            E::Malformed("StartTime"),
            TASKS,
            vec![("StartTime", "moon"), ("EndTime", &now)],
            "InvalidStartTime.Malformed",
            "Specified StartTime is malformed.",
        ),
        (
            Vod,
            E::EndTimeMismatch,
            TASKS,
            vec![("StartTime", &now), ("EndTime", &yesterday)],
            "InvalidEndTime.Mismatch",
            "Specified end time does not math the specified start time.",
        ),
        (
            Vod,
            E::TimeTooLongAgo,
            TASKS,
            vec![("StartTime", &last_week), ("EndTime", &now)],
            "InvalidTime",
            "The query time cannot exceed the last 3 days.",
        ),
        (
            Vod,
            E::ValueNotSupported("StartTime"),
            TASKS,
            vec![("StartTime", &tomorrow), ("EndTime", "2100-01-01T00:00:00Z")],
            "InvalidStartTime.ValueNotSupported",
            "The specified value of parameter StartTime is not supported.",
        ),
        (
            Vod,
            E::ValueNotSupported("Status"),
            TASKS,
            vec![("ObjectType", "file"), ("Status", "Asleep")],
            "InvalidStatus.ValueNotSupported",
            "The specified value of parameter Status is not supported.",
        ),
        (
            Vod,
            E::invalid("PageSize"),
            TASKS,
            vec![("PageSize", "51")],
            "InvalidPageSize",
            "Specified parameter PageSize is not valid.",
        ),
    ];
    for (product, kind, action, params, code, message) in cases {
        book.is_of(product, kind, stage.call(ANN, action, &params).await, code, message);
    }
}

async fn of_domains(stage: &Stage, book: &mut Book) {
    use ErrorKind as E;
    let answer = stage.call(ANN, PURGE, &[("ObjectPath", "b.example/1")]).await;
    let message = "The domain provided does not belong to you.";
    book.is(E::DomainNotFound, answer, "InvalidDomain.NotFound", message);

    let sources = |count: usize| -> String {
        let sources = (1..=count).map(|n| serde_json::json!({"content": format!("192.0.2.{n}"), "port": 80}));
        Value::from(sources.collect::<Vec<_>>()).to_string()
    };
    let (one, many) = (sources(1), sources(17));
    let add = [("DomainName", "c.example"), ("Sources", one.as_str())];
    assert_eq!(stage.call(ADA, "AddVodDomain", &add).await.0, 200);
    let answer = stage.call(ADA, "AddVodDomain", &add).await;
    book.is(E::DomainExists, answer, "DomainAlreadyExist", "The domain name already exists.");
    let update = [("DomainName", "c.example"), ("Sources", many.as_str())];
    let answer = stage.call(ADA, "UpdateVodDomain", &update).await;
    let message = "Illegal domain operate is not permitted.";
    book.is(E::IllegalOperation, answer, "IllegalOperation", message);

    let answer = stage.call(ANN, "AddVodDomain", &[("DomainName", "d.example"), ("Sources", &one)]).await;
    let denied = &answer.1["AccessDeniedDetail"];
    assert_eq!(
        (&denied["AuthAction"], &denied["AuthPrincipalDisplayName"]),
        (&"vod:AddVodDomain".into(), &ANN.0.into())
    );
    let message = "User not authorized to operate on the specified resource.";
    let denial = freshen_api::vendor::Denial {
        auth_action: String::new(),
        auth_principal_display_name: String::new(),
        auth_principal_owner_id: String::new(),
    };
    book.is(E::ForbiddenRam(denial), answer, "Forbidden.RAM", message);

    assert_eq!(stage.call(ANN, "BatchStopVodDomain", &[("DomainNames", "a.example")]).await.0, 200);
    let answer = stage.call(ANN, PREFETCH, &[("ObjectPath", "a.example/1")]).await;
    book.is(E::DomainOffline, answer, "InvalidDomain.Offline", "The domain provided is offline.");
    assert_eq!(stage.call(ANN, "BatchStartVodDomain", &[("DomainNames", "a.example")]).await.0, 200);
}

async fn of_limits(stage: &Stage, book: &mut Book) {
    use ErrorKind as E;
    let few = Limits { url: 2, urls_per_minute: 1, prefetch: 2, prefetch_queue: 1, ..Limits::default() };
    let few = Limits { requests_per_s: 10_000, ..few };
    stage.control.add_domain("bob", "c.b.example", &settings()).await.unwrap();
    stage.control.set_limits("bob", few).await.unwrap();
    let (three, two) = ("b.example/1\nb.example/2\nb.example/3", "b.example/1\nb.example/2");
    let answer = stage.call(BOB, PURGE, &[("ObjectPath", two)]).await;
    let message = "You've exceeded the prescribed refresh limits per minute.";
    book.is(E::QuotaPerMinuteExceededRefresh, answer, "QuotaPerMinuteExceeded.Refresh", message);
    let answer = stage.call(BOB, PREFETCH, &[("ObjectPath", two)]).await;
    let message = "Preload queue is full, please try again later!";
    book.is(E::PreloadQueueFull, answer, "PreloadQueueFull", message);

    let few = Limits { urls_per_minute: 100, prefetch_queue: 100, ..few };
    stage.control.set_limits("bob", few).await.unwrap();
    let message = "You've exceeded the prescribed refresh limits.";
    let answer = stage.call(BOB, PURGE, &[("ObjectPath", three)]).await;
    book.is(E::QuotaExceededRefresh, answer, "QuotaExceeded.Refresh", message);
    let message = "Your refresh attempts have exceeded the daily limit.";
    let answer = stage.call(BOB, "RefreshObjectCaches", &[("ObjectPath", three)]).await;
    book.is_of(Product::Cdn, E::QuotaExceededRefresh, answer, "QuotaExceeded.Refresh", message);
    let message = "You've exceeded the prescribed preload limits.";
    let answer = stage.call(BOB, PREFETCH, &[("ObjectPath", three)]).await;
    book.is(E::QuotaExceededPreload, answer, "QuotaExceeded.Preload", message);

    stage.control.set_limits("bob", Limits { requests_per_s: 0, ..few }).await.unwrap();
    let answer = stage.send(stage.signed(BOB, "POST", "/", QUOTA, b"")).await;
    assert_eq!(answer.headers["x-acs-retry-after"], "1000");
    let kind = E::ThrottlingUser { retry_after_ms: 1_000 };
    book.is(kind, told(answer), "Throttling.User", "Request was denied due to user flow control.");
}

async fn of_crowds(stage: &Stage, book: &mut Book) {
    use ErrorKind as E;
    // Long heads that do not end take all the places there are for such.
    let mut begun = Vec::new();
    let long = format!("GET /?a={} HTTP/1.1\r\n", "x".repeat(100 << 10));
    let answer = within(async {
        loop {
            let mut socket = TcpStream::connect(&stage.address).await.unwrap();
            socket.write_all(long.as_bytes()).await.unwrap();
            begun.push(socket);
            if begun.len() >= 64
                && let answer = told_early(stage, &long).await
                && answer.0 == 503
            {
                return answer;
            }
        }
    })
    .await;
    drop(begun);
    let kind = E::Throttling { retry_after_ms: 1_000 };
    book.is(kind, answer, "Throttling", "Request was denied due to request throttling.");

    // A domain whose settings change faster than a submission can read them.
    let ledger = rusqlite::Connection::open(stage.ledger_path()).unwrap();
    ledger.busy_timeout(Duration::from_secs(20)).unwrap();
    ledger.pragma_update(None, "synchronous", "OFF").unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let changing = std::thread::spawn(move || {
        let mut change = ledger.prepare("UPDATE domains SET seq = seq + 1 WHERE name = 'a.example'").unwrap();
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            change.execute([]).unwrap();
        }
    });
    let answer = within(async {
        loop {
            let answer = stage.call(ANN, PURGE, &[("ObjectPath", "a.example/1")]).await;
            if answer.0 != 200 {
                return answer;
            }
        }
    })
    .await;
    drop(stop);
    changing.join().unwrap();
    let message = "The specified Domain is configuring, please retry later.";
    book.is(E::ServiceBusy, answer, "ServiceBusy", message);
}

/// What is said to a long head once it has ended.
async fn told_early(stage: &Stage, head: &str) -> (u16, Value) {
    stage.raw(format!("{head}host: a\r\n\r\n").as_bytes()).await
}

async fn of_a_broken_ledger(stage: &Stage, book: &mut Book) {
    let ledger = rusqlite::Connection::open(stage.ledger_path()).unwrap();
    ledger.execute_batch("ALTER TABLE usage RENAME TO gone").unwrap();
    let answer = stage.call(ANN, QUOTA, &[]).await;
    let message = "The request processing has failed due to some unknown error.";
    book.is(ErrorKind::InternalError, answer, "InternalError", message);

    // In XML, too, where the request asks for it.
    let answer = hmac(stage, "in XML", &[("Format", Some("XML"))]).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (500, &"text/xml;charset=utf-8".parse().unwrap())
    );
    assert!(
        answer.text().contains("<Error><Code>InternalError</Code><HostId>127.0.0.1:"),
        "{}",
        answer.text()
    );
}

/// The envelope on the paths where no call is recognised, in both forms.
#[tokio::test]
async fn errors_have_their_envelope_in_json_and_xml_on_every_path() {
    let stage = Stage::set().await;
    for (method, target, status, code) in [
        ("GET", "/nothing/here", 404, "InvalidApi.NotFound"),
        ("POST", "/v2/", 404, "InvalidApi.NotFound"),
        ("DELETE", "/", 405, "UnsupportedHTTPMethod"),
        ("PATCH", "/", 405, "UnsupportedHTTPMethod"),
        ("OPTIONS", "/", 405, "UnsupportedHTTPMethod"),
        ("POST", "/", 400, "MissingAction"),
    ] {
        for (format, content_type) in
            [("JSON", "application/json;charset=utf-8"), ("XML", "text/xml;charset=utf-8")]
        {
            let answer = stage.ask(method, &format!("{target}?Format={format}"), &[]).await;
            let place = format!("{method} {target} as {format}");
            assert_eq!(
                (answer.status, &answer.headers["content-type"]),
                (status, &content_type.parse().unwrap()),
                "{place}"
            );
            let id = answer.headers["x-acs-request-id"].to_str().unwrap().to_owned();
            if format == "JSON" {
                let body = answer.json();
                assert_eq!((&body["Code"], &body["RequestId"]), (&code.into(), &id.into()), "{place}");
                continue;
            }
            let text = answer.text();
            assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>"), "{text}");
            for part in [format!("<Code>{code}</Code>"), format!("<RequestId>{id}</RequestId>")] {
                assert!(text.contains(&part), "{place}: {text}");
            }
            for name in ["HostId", "Message", "Recommend"] {
                assert!(text.contains(&format!("</{name}>")), "{place}: {text}");
            }
        }
    }
}
