//! Media jobs in the vendor's terms: `RefreshMediaPlayUrls`, `GetMediaRefreshJobs` and the callback
//! `SubmitMediaRefreshComplete`.

use std::sync::Arc;

use freshen_control::{Control, MediaJobError, MediaTeller};
use freshen_model::location::{Location, Scheme};
use freshen_model::media::{Format, StreamType};
use freshen_model::media_job::{MediaJob, MediaPart, MediaRequest, PartFailure, PartState};
use freshen_model::rights::Right;
use freshen_model::task::TaskKind;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ErrorKind, Params, Product, Reply, VendorError, refusals};
use crate::gate::Caller;
use crate::timestamp;

/// Segments of each playlist, if not said and at most.
const SLICES_DEFAULT: u32 = 5;
const SLICES_MAX: u32 = 20;
/// Media of one request, and words of one list.
const MEDIA_MAX: usize = 20;
const WORDS_MAX: usize = 20;
/// Bytes of a definition.
const DEFINITION_BYTES_MAX: usize = 16;

/// Purge or prefetch what plays some media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaCall {
    /// Their ids.
    pub media_ids: Vec<String>,
    /// What is wanted of them.
    pub request: MediaRequest,
}

/// Which job is asked for, and which of its media; all if not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaJobQuery {
    /// The job.
    pub job_id: String,
    /// The medium.
    pub media_id: Option<String>,
}

impl MediaCall {
    pub(super) fn parse(params: &Params) -> Result<MediaCall, VendorError> {
        let text = |name: &'static str| params.text(name).ok_or(ErrorKind::MissingParameter(name));
        let media_ids: Vec<String> = list(text("MediaIds")?).map(str::to_owned).take(MEDIA_MAX + 1).collect();
        if !(1..=MEDIA_MAX).contains(&media_ids.len()) {
            return Err(ErrorKind::invalid("MediaIds").because(format!("name 1 to {MEDIA_MAX} media")));
        }
        let kind = match text("TaskType")? {
            word if word.eq_ignore_ascii_case("Refresh") => TaskKind::Url,
            word if word.eq_ignore_ascii_case("Preload") => TaskKind::Prefetch,
            _ => return Err(ErrorKind::invalid("TaskType").because("expected Refresh or Preload")),
        };
        let multiple = match params.text("ResultType") {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("Single") => false,
            Some(word) if word.eq_ignore_ascii_case("Multiple") => true,
            Some(_) => return Err(ErrorKind::invalid("ResultType").because("expected Single or Multiple")),
        };
        let slices = params.positive("SliceCount", SLICES_MAX)?.unwrap_or(SLICES_DEFAULT);
        let segments = params.boolean("SliceFlag")?.unwrap_or(false).then_some(slices);
        let note = params.text("UserData").map(str::to_owned);
        let request = MediaRequest {
            kind,
            formats: words::<Format>(params, "Formats", "mp4, m3u8, mp3, flv, webm or ts")?,
            definitions: definitions(params)?,
            stream_types: words::<StreamType>(params, "StreamType", "video or audio")?,
            multiple,
            segments,
            callback: note.as_deref().map(callback).transpose()?.flatten(),
            note,
        };
        Ok(MediaCall { media_ids, request })
    }

    /// What a key must have the right to do.
    pub(super) fn right(&self) -> Right {
        if self.request.kind.is_purge() { Right::Purge } else { Right::Prefetch }
    }
}

impl MediaJobQuery {
    pub(super) fn parse(params: &Params) -> Result<MediaJobQuery, VendorError> {
        let id = params.text("MediaRefreshJobId");
        Ok(MediaJobQuery {
            job_id: id.ok_or(ErrorKind::MissingParameter("MediaRefreshJobId"))?.to_owned(),
            media_id: params.text("MediaId").map(str::to_owned),
        })
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// A list of words that our own API knows, too.
fn words<T: DeserializeOwned>(
    params: &Params,
    name: &'static str,
    expected: &str,
) -> Result<Vec<T>, VendorError> {
    let word = |word: &str| serde_json::from_value(json!(word.to_ascii_lowercase()));
    let words = list(params.text(name).unwrap_or_default()).take(WORDS_MAX).map(word);
    let words: Result<_, _> = words.collect();
    words.map_err(|_| ErrorKind::invalid(name).because(format!("expected {expected}, parted by commas")))
}

fn definitions(params: &Params) -> Result<Vec<String>, VendorError> {
    let words = list(params.text("Definitions").unwrap_or_default()).take(WORDS_MAX);
    let words: Vec<String> = words.map(str::to_ascii_uppercase).collect();
    match words.iter().all(|word| word.len() <= DEFINITION_BYTES_MAX) {
        true => Ok(words),
        false => Err(ErrorKind::invalid("Definitions").because("expected words like LD, HD or 4K")),
    }
}

/// The address that `UserData` names for callbacks.
fn callback(user_data: &str) -> Result<Option<String>, VendorError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct UserData {
        message_callback: Option<MessageCallback>,
    }
    #[derive(Deserialize)]
    struct MessageCallback {
        #[serde(rename = "CallbackURL")]
        url: Option<String>,
        #[serde(rename = "CallbackType")]
        kind: Option<String>,
    }
    let refuse = |why: String| ErrorKind::invalid("UserData").because(why);
    let data: UserData = serde_json::from_str(user_data).map_err(|_| {
        refuse(r#"expected JSON like {"MessageCallback":{"CallbackURL":"https://…"},"Extend":{}}"#.into())
    })?;
    let Some(MessageCallback { url: Some(url), kind }) = data.message_callback else { return Ok(None) };
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("http")) {
        return Err(refuse("CallbackType: only http is offered".into()));
    }
    freshen_model::callback::check_url(&url).map_err(|why| refuse(format!("CallbackURL: {why}")))?;
    Ok(Some(url))
}

/// Makes the job.
pub(super) async fn submit(
    control: &Arc<Control>,
    caller: &Caller,
    call: MediaCall,
) -> Result<Reply, VendorError> {
    let MediaCall { media_ids, request } = call;
    let submitted = control.submit_media(&caller.account, caller.within(), &media_ids, request).await;
    let submitted = submitted.map_err(|error| match error {
        MediaJobError::Count(_) => ErrorKind::invalid("MediaIds").because(error.to_string()),
        MediaJobError::Unfit { field, .. } => {
            let parameter = match field {
                "segments" => "SliceFlag",
                "note" | "callback" => "UserData",
                _ => "TaskType",
            };
            ErrorKind::invalid(parameter).because(error.to_string())
        }
        MediaJobError::Ledger(error) => refusals::of_ledger(error),
        MediaJobError::Resolver(error) => {
            tracing::error!(%error, "media could not be resolved");
            ErrorKind::ServiceUnavailable.because("the resolver of media could not be asked, try again later")
        }
        MediaJobError::NoRandom(_) => ErrorKind::ServiceUnavailable.into(),
    })?;
    Ok(Reply::MediaJob {
        media_refresh_job_id: submitted.job.map(|job| job.id).unwrap_or_default(),
        non_exist_media_ids: submitted.unknown.join(","),
        forbidden_media_ids: submitted.forbidden.join(","),
    })
}

/// Tells of a job; of none where the caller has none of that name.
pub(super) async fn rows(
    control: &Control,
    caller: &Caller,
    query: MediaJobQuery,
) -> Result<Reply, VendorError> {
    let job = control.media_job(&caller.account, &query.job_id).await.map_err(refusals::of_ledger)?;
    let mut rows = Vec::new();
    for job in job.iter() {
        let wanted = |part: &&MediaPart| {
            query.media_id.as_ref().is_none_or(|media| *media == part.media) && is_reached(caller, part)
        };
        rows.extend(job.parts.iter().filter(wanted).map(|part| MediaRow::of(job, part)));
    }
    Ok(Reply::MediaJobs { media_refresh_jobs: rows })
}

/// Whether a key that is confined to some domains reaches all that a part names.
fn is_reached(caller: &Caller, part: &MediaPart) -> bool {
    let Some(within) = caller.within() else { return true };
    part.urls.iter().all(|url| {
        Location::parse(url, Scheme::Required).is_ok_and(|location| within.contains(&location.host))
    })
}

/// One medium of a job; all fields are strings on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MediaRow {
    /// The job.
    pub media_refresh_job_id: String,
    /// The medium.
    pub media_id: String,
    /// `Refresh` or `Preload`.
    pub task_type: &'static str,
    /// What was wanted, as JSON.
    pub filter_policy: String,
    /// `success` or `fail`, of the submission; `processing` in between.
    pub status: &'static str,
    /// The addresses that were submitted, parted by commas.
    pub success_play_urls: String,
    /// The task of each of these addresses, in their order.
    pub task_ids: String,
    /// Why nothing was submitted, in the vendor's word.
    pub error_code: String,
    /// Why, in more words.
    pub error_message: String,
    /// What the submitter gave.
    pub user_data: String,
    /// When the job was accepted.
    pub gmt_create: String,
    /// When this medium's part of it last changed.
    pub gmt_modified: String,
}

impl MediaRow {
    fn of(job: &MediaJob, part: &MediaPart) -> MediaRow {
        let time = |ms: i64| timestamp::format(ms.div_euclid(1_000)).to_string();
        let mut row = MediaRow {
            media_refresh_job_id: job.id.clone(),
            media_id: part.media.clone(),
            task_type: task_type(&job.request),
            filter_policy: filter_policy(&job.request).to_string(),
            status: "processing",
            success_play_urls: String::new(),
            task_ids: String::new(),
            error_code: String::new(),
            error_message: String::new(),
            user_data: job.request.note.clone().unwrap_or_default(),
            gmt_create: time(job.created_ms),
            gmt_modified: time(part.changed_ms),
        };
        match &part.state {
            PartState::Waiting => {}
            PartState::Submitted { task } => {
                row.status = "success";
                row.success_play_urls = part.urls.join(",");
                row.task_ids = vec![task.to_string(); part.urls.len()].join(",");
            }
            PartState::Failed { why, reason } => {
                row.status = "fail";
                row.error_code = error_code(&job.request, *why);
                row.error_message = reason.clone();
            }
        }
        row
    }
}

fn task_type(request: &MediaRequest) -> &'static str {
    if request.kind.is_purge() { "Refresh" } else { "Preload" }
}

/// What was wanted, under the names of the parameters.
fn filter_policy(request: &MediaRequest) -> Value {
    let word = |word: Value| word.as_str().unwrap_or_default().to_owned();
    let formats: Vec<String> = request.formats.iter().map(|format| word(json!(format))).collect();
    let types: Vec<String> = request.stream_types.iter().map(|kind| word(json!(kind))).collect();
    json!({
        "Formats": formats.join(","),
        "Definitions": request.definitions.join(","),
        "StreamType": types.join(","),
        "ResultType": if request.multiple { "Multiple" } else { "Single" },
        "SliceFlag": request.segments.is_some(),
        "SliceCount": request.segments.unwrap_or(SLICES_DEFAULT),
    })
}

fn error_code(request: &MediaRequest, why: PartFailure) -> String {
    let kind = match why {
        // The vendor publishes none for it.
        PartFailure::NoStream => return "PlayUrlNotExist".to_owned(),
        PartFailure::OverQuota if request.kind.is_purge() => ErrorKind::QuotaExceededRefresh,
        PartFailure::OverQuota => ErrorKind::QuotaExceededPreload,
        PartFailure::TooFast => ErrorKind::QuotaPerMinuteExceededRefresh,
        PartFailure::QueueFull => ErrorKind::PreloadQueueFull,
        PartFailure::Unread => ErrorKind::InternalError,
        PartFailure::NoPops => ErrorKind::ServiceUnavailable,
        PartFailure::Unfit => ErrorKind::ObjectPathMalformed,
    };
    VendorError::from(kind).of(Product::Vod).code().into_owned()
}

/// Tells of media jobs as the vendor does.
pub(crate) struct Teller;

/// The vendor's name of what happened.
const EVENT: &str = "SubmitMediaRefreshComplete";

impl MediaTeller for Teller {
    fn told(&self, job: &MediaJob, part: &MediaPart) -> (&'static str, String) {
        let row = MediaRow::of(job, part);
        let mut fields = Map::new();
        let texts = [
            ("EventTime", row.gmt_modified),
            ("EventType", EVENT.to_owned()),
            ("Status", row.status.to_owned()),
            ("MediaRefreshJobId", row.media_refresh_job_id),
            ("MediaId", row.media_id),
            ("TaskType", row.task_type.to_owned()),
            ("SuccessPlayUrls", row.success_play_urls),
            ("TaskIds", row.task_ids),
            ("FilterPolicy", row.filter_policy),
        ];
        fields.extend(texts.map(|(name, text)| (name.to_owned(), Value::String(text))));
        let data: Option<Value> =
            job.request.note.as_deref().and_then(|note| serde_json::from_str(note).ok());
        if let Some(extend) = data.as_ref().and_then(|data| data.get("Extend")) {
            // As text, as the vendor sends what is JSON within JSON.
            let extend = extend.as_str().map_or_else(|| extend.to_string(), str::to_owned);
            fields.insert("Extend".into(), extend.into());
        }
        if !row.error_code.is_empty() {
            fields.insert("ErrorCode".into(), row.error_code.into());
            fields.insert("ErrorMessage".into(), row.error_message.into());
        }
        (EVENT, Value::Object(fields).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(pairs: &[(&str, &str)]) -> Result<MediaCall, String> {
        let mut all = vec![("MediaIds", "a, b,,c"), ("TaskType", "Preload")];
        all.retain(|(name, _)| !pairs.iter().any(|(other, _)| other == name));
        all.extend(pairs);
        let params = match &all[..] {
            [a, b] => Params::from([*a, *b]),
            [a, b, c] => Params::from([*a, *b, *c]),
            [a, b, c, d] => Params::from([*a, *b, *c, *d]),
            others => panic!("{others:?}"),
        };
        MediaCall::parse(&params).map_err(|error| error.code().into_owned())
    }

    #[test]
    fn what_is_not_said_is_all_and_the_newest() {
        let MediaCall { media_ids, request } = call(&[]).unwrap();
        assert_eq!(media_ids, ["a", "b", "c"]);
        assert_eq!((request.kind, request.multiple, request.segments), (TaskKind::Prefetch, false, None));
        assert!(request.formats.is_empty() && request.definitions.is_empty());
        let filter = filter_policy(&request);
        assert_eq!(filter["ResultType"], "Single");
        assert_eq!((&filter["SliceFlag"], &filter["SliceCount"]), (&json!(false), &json!(5)));
        assert_eq!(call(&[("SliceFlag", "True")]).unwrap().request.segments, Some(5));
        let some = call(&[("SliceFlag", "true"), ("SliceCount", "20")]).unwrap();
        assert_eq!(some.request.segments, Some(20));
        let some = call(&[("Formats", "mp4,M3U8"), ("Definitions", "hd,4K")]).unwrap().request;
        assert_eq!(some.formats, [Format::Mp4, Format::M3u8]);
        assert_eq!(some.definitions, ["HD", "4K"]);
        assert_eq!(call(&[("TaskType", "refresh")]).unwrap().right(), Right::Purge);
    }

    #[test]
    fn what_cannot_be_names_its_parameter() {
        let many = ["m"; 21].join(",");
        for (pair, code) in [
            (("MediaIds", ""), "MissingParameter"),
            (("MediaIds", " , "), "InvalidMediaIds"),
            (("MediaIds", &*many), "InvalidMediaIds"),
            (("TaskType", ""), "MissingParameter"),
            (("TaskType", "Purge"), "InvalidTaskType"),
            (("Formats", "avi"), "InvalidFormats"),
            (("Definitions", "AVERYVERYLONGDEFINITION"), "InvalidDefinitions"),
            (("StreamType", "smell"), "InvalidStreamType"),
            (("ResultType", "Some"), "InvalidResultType"),
            (("SliceFlag", "1"), "InvalidSliceFlag"),
            (("SliceCount", "21"), "InvalidSliceCount"),
            (("UserData", "hello"), "InvalidUserData"),
            (("UserData", r#"{"MessageCallback":{"CallbackURL":"ftp://a/"}}"#), "InvalidUserData"),
            (
                ("UserData", r#"{"MessageCallback":{"CallbackURL":"http://a/","CallbackType":"mns"}}"#),
                "InvalidUserData",
            ),
        ] {
            assert_eq!(call(&[pair]), Err(code.to_owned()), "{pair:?}");
        }
    }

    #[test]
    fn a_callback_has_what_the_row_has_and_what_the_submitter_gave() {
        let data = r#"{"MessageCallback":{"CallbackURL":"http://a.example/","CallbackType":"http"},"Extend":{"a":1}}"#;
        let request = call(&[("UserData", data), ("SliceFlag", "true")]).unwrap().request;
        assert_eq!(request.callback.as_deref(), Some("http://a.example/"));
        let part = |state| MediaPart {
            media: "m".into(),
            urls: vec!["http://a.example/1".into(), "http://a.example/2".into()],
            state,
            changed_ms: 1_700_000_000_000,
        };
        let job = MediaJob { id: "j".into(), request, created_ms: 1_699_999_999_000, parts: Vec::new() };
        let submitted = part(PartState::Submitted { task: freshen_model::ids::TaskId(7) });
        let (event, body) = Teller.told(&job, &submitted);
        let filter = r#"{"Definitions":"","Formats":"","ResultType":"Single","SliceCount":5,"SliceFlag":true,"StreamType":""}"#;
        assert_eq!(event, "SubmitMediaRefreshComplete");
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            json!({
                "EventTime": "2023-11-14T22:13:20Z", "EventType": "SubmitMediaRefreshComplete",
                "Status": "success", "MediaRefreshJobId": "j", "MediaId": "m", "TaskType": "Preload",
                "SuccessPlayUrls": "http://a.example/1,http://a.example/2", "TaskIds": "7,7",
                "FilterPolicy": filter, "Extend": "{\"a\":1}",
            })
        );
        let failed = part(PartState::Failed { why: PartFailure::QueueFull, reason: "full".into() });
        let body: Value = serde_json::from_str(&Teller.told(&job, &failed).1).unwrap();
        assert_eq!((&body["Status"], &body["SuccessPlayUrls"]), (&json!("fail"), &json!("")));
        assert_eq!((&body["ErrorCode"], &body["ErrorMessage"]), (&json!("PreloadQueueFull"), &json!("full")));
    }
}
