//! What the actions ask for, as types.

use freshen_model::variants::Variants;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::{
    Action, DomainCall, ErrorKind, MediaCall, MediaJobQuery, Params, Product, TaskStatus, TaskType,
    TrafficQuery, VendorError,
};
use crate::signature::WINDOW_SECONDS;
use crate::timestamp;

/// The most lines that any account may be allowed in one request.
pub const LINES_MAX: usize = 10_000;

/// Rows a page, if not said.
const PAGE_SIZE_DEFAULT: u32 = 20;
/// The most rows a page, by product.
const VOD_PAGE_SIZE_MAX: u32 = 50;
const CDN_PAGE_SIZE_MAX: u32 = 100;
/// The most ids that can be asked for by name.
const TASK_IDS_MAX: usize = 10;
/// The highest page.
const PAGE_NUMBER_MAX: u32 = 100_000;
/// How far back tasks can be listed.
pub(super) const LISTED_SECONDS: i64 = 3 * 86_400;

/// An action with its parameters, the same for both products where they ask for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Submit a purge.
    Purge(Purge),
    /// Submit a purge of what has a tag.
    PurgeTags(PurgeTags),
    /// Submit a prefetch.
    Prefetch(Prefetch),
    /// List tasks.
    Tasks(TaskQuery),
    /// List these tasks.
    TasksById(Vec<u64>),
    /// Tell how far each URL of this prefetch is.
    PreloadDetail(u64),
    /// Tell the quotas.
    Quota,
    /// Submit purges or prefetches of what plays some media.
    Media(MediaCall),
    /// Tell what was submitted for some media.
    MediaJobs(MediaJobQuery),
    /// Something about domains.
    Domain(DomainCall),
    /// Tell domains' traffic.
    Traffic(TrafficQuery),
}

impl Call {
    /// Reads the parameters of an action. `now` is in unix seconds.
    pub fn parse(action: Action, params: &Params, now: i64) -> Result<Call, VendorError> {
        use Action as A;
        Ok(match action {
            A::RefreshVodObjectCaches | A::RefreshObjectCaches => {
                Call::Purge(Purge::parse(action.product(), params)?)
            }
            A::RefreshObjectCacheByCacheTag => Call::PurgeTags(PurgeTags::parse(params)?),
            A::PreloadVodObjectCaches | A::PushObjectCache => Call::Prefetch(Prefetch::parse(params)?),
            A::DescribeVodRefreshTasks | A::DescribeRefreshTasks => {
                Call::Tasks(TaskQuery::parse(action.product(), params, now)?)
            }
            A::DescribeRefreshTaskById => Call::TasksById(task_ids(params)?),
            A::DescribePreloadDetailById => Call::PreloadDetail(one_task_id(params)?),
            A::RefreshMediaPlayUrls => Call::Media(MediaCall::parse(params)?),
            A::GetMediaRefreshJobs => Call::MediaJobs(MediaJobQuery::parse(params)?),
            A::AddVodDomain
            | A::UpdateVodDomain
            | A::DeleteVodDomain
            | A::BatchStartVodDomain
            | A::BatchStopVodDomain
            | A::BatchSetVodDomainConfigs
            | A::SetVodDomainSSLCertificate
            | A::DescribeVodDomainConfigs
            | A::DescribeVodUserDomains
            | A::DescribeVodDomainDetail => Call::Domain(DomainCall::parse(action, params)?),
            A::DescribeVodDomainTrafficData
            | A::DescribeVodDomainHitRateData
            | A::DescribeVodDomainSrcTrafficData
            | A::DescribeVodDomainSrcBpsData => Call::Traffic(TrafficQuery::parse(params, now)?),
            A::DescribeVodRefreshQuota | A::DescribeRefreshQuota | A::DescribeCdnUserQuota => Call::Quota,
        })
    }
}

/// A purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// What to purge, at least one line.
    pub object_path: Vec<Line>,
    /// What each line names.
    pub object_type: ObjectType,
    /// Mode `evict` also where the type has `expire`.
    pub force: bool,
}

impl Purge {
    fn parse(product: Product, params: &Params) -> Result<Purge, VendorError> {
        let object_path = lines(params)?;
        let object_type = match params.text("ObjectType") {
            None => ObjectType::File,
            Some(name) => ObjectType::named(name).ok_or(match product {
                Product::Vod => ErrorKind::ObjectTypeNotSupported,
                Product::Cdn => ErrorKind::ObjectTypeMalformed,
            })?,
        };
        let force = params.boolean("Force")?.unwrap_or(false);
        Ok(Purge { object_path, object_type, force })
    }
}

/// A purge of what has one of some tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeTags {
    /// In which domain.
    pub domain_name: String,
    /// At least one; numbered as they are parted by commas.
    pub cache_tag: Vec<Line>,
    /// Mode `evict`.
    pub force: bool,
}

impl PurgeTags {
    fn parse(params: &Params) -> Result<PurgeTags, VendorError> {
        let text = |name: &'static str| params.text(name).ok_or(ErrorKind::MissingParameter(name));
        let domain_name = text("DomainName")?.to_owned();
        let tags = (1..).zip(text("CacheTag")?.split(',')).map(|(number, tag)| (number, tag.trim()));
        let tags = tags.filter(|(_, tag)| !tag.is_empty()).take(LINES_MAX);
        let cache_tag: Vec<Line> = tags.map(|(number, tag)| Line { number, text: tag.to_owned() }).collect();
        if cache_tag.is_empty() {
            return Err(ErrorKind::MissingParameter("CacheTag").into());
        }
        Ok(PurgeTags { domain_name, cache_tag, force: params.boolean("Force")?.unwrap_or(false) })
    }
}

/// What the lines of a purge name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectType {
    /// A URL each, query included.
    File,
    /// A directory each, with all below it.
    Directory,
    /// A pattern of URLs.
    Regex,
    /// A URL each, whatever its query. One page of the vendor calls it `ExQuery`.
    IgnoreParams,
}

impl ObjectType {
    fn named(name: &str) -> Option<ObjectType> {
        let all = [
            ("File", ObjectType::File),
            ("Directory", ObjectType::Directory),
            ("Regex", ObjectType::Regex),
            ("IgnoreParams", ObjectType::IgnoreParams),
            ("ExQuery", ObjectType::IgnoreParams),
        ];
        all.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, kind)| kind)
    }
}

/// A prefetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefetch {
    /// What to prefetch, at least one line.
    pub object_path: Vec<Line>,
    /// Where; everywhere if not said.
    pub area: Option<Area>,
    /// Whether the vendor's middle layer must have it too. Our POPs are one layer.
    pub l2_preload: bool,
    /// Headers to prefetch with, with every value of each: a variant per combination. Those for who accepts gzip and who
    /// does not, if not said.
    pub with_header: Variants,
}

impl Prefetch {
    fn parse(params: &Params) -> Result<Prefetch, VendorError> {
        let object_path = lines(params)?;
        let area = match params.text("Area") {
            None => None,
            Some(name) => Some(
                Area::named(name)
                    .ok_or_else(|| ErrorKind::invalid("Area").because("expected domestic or overseas"))?,
            ),
        };
        let l2_preload = params.boolean("L2Preload")?.unwrap_or(false);
        let with_header = params.text("WithHeader").map(with_header).transpose()?.unwrap_or_default();
        Ok(Prefetch { object_path, area, l2_preload, with_header })
    }
}

/// The POPs of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Area `domestic`.
    Domestic,
    /// Area `overseas`.
    Overseas,
}

impl Area {
    fn named(name: &str) -> Option<Area> {
        let all = [("domestic", Area::Domestic), ("overseas", Area::Overseas)];
        all.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, area)| area)
    }
}

/// A filter and a page of the list of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskQuery {
    /// Of this task.
    pub task_id: Option<u64>,
    /// Of exactly this line.
    pub object_path: Option<String>,
    /// Of this kind.
    pub object_type: Option<TaskType>,
    /// Of this domain.
    pub domain_name: Option<String>,
    /// In this status.
    pub status: Option<TaskStatus>,
    /// Submitted from here on, in unix seconds.
    pub start_time: i64,
    /// Submitted before, in unix seconds; until now if not said.
    pub end_time: Option<i64>,
    /// The page, from one.
    pub page_number: u32,
    /// Rows a page.
    pub page_size: u32,
}

impl TaskQuery {
    fn parse(product: Product, params: &Params, now: i64) -> Result<TaskQuery, VendorError> {
        let task_id = match params.text("TaskId") {
            None => None,
            Some(text) => Some(decimal(text).ok_or(ErrorKind::TaskIdMalformed)?),
        };
        let object_type = match params.text("ObjectType") {
            None => None,
            Some(name) => Some(TaskType::named(name).ok_or(ErrorKind::ObjectTypeNotSupported)?),
        };
        let status = match params.text("Status") {
            None => None,
            Some(name) => Some(TaskStatus::named(name).ok_or(ErrorKind::ValueNotSupported("Status"))?),
        };
        let domain_name = params.text("DomainName").map(str::to_owned);
        if object_type.is_none() && (domain_name.is_some() || status.is_some()) {
            return Err(ErrorKind::MissingObjectType.into());
        }
        let (start_time, end_time) = times(params, now)?;
        let page_size_max = match product {
            Product::Vod => VOD_PAGE_SIZE_MAX,
            Product::Cdn => CDN_PAGE_SIZE_MAX,
        };
        Ok(TaskQuery {
            task_id,
            object_path: params.text("ObjectPath").map(str::to_owned),
            object_type,
            domain_name,
            status,
            start_time,
            end_time,
            page_number: params.positive("PageNumber", PAGE_NUMBER_MAX)?.unwrap_or(1),
            page_size: params.positive("PageSize", page_size_max)?.unwrap_or(PAGE_SIZE_DEFAULT),
        })
    }
}

/// One line of `ObjectPath`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from one; blank lines count.
    pub number: usize,
    /// The line, without white space around it. Not checked otherwise.
    pub text: String,
}

fn lines(params: &Params) -> Result<Vec<Line>, VendorError> {
    let text = params.text("ObjectPath").ok_or(ErrorKind::MissingParameter("ObjectPath"))?;
    let lines = (1..).zip(text.split('\n')).map(|(number, line)| (number, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty()).take(LINES_MAX + 1);
    let lines: Vec<Line> = lines.map(|(number, line)| Line { number, text: line.to_owned() }).collect();
    match lines.len() {
        0 => Err(ErrorKind::MissingParameter("ObjectPath").into()),
        1..=LINES_MAX => Ok(lines),
        _ => Err(ErrorKind::ObjectPathTooLong { lines_max: LINES_MAX }.into()),
    }
}

/// From when to when tasks are listed. Clocks may differ by as much as a signature's may.
fn times(params: &Params, now: i64) -> Result<(i64, Option<i64>), VendorError> {
    let time = |name: &'static str| {
        let time = params.text(name).map(timestamp::parse).transpose();
        time.map_err(|_| ErrorKind::Malformed(name))
    };
    let earliest = now - LISTED_SECONDS;
    match (time("StartTime")?, time("EndTime")?) {
        (None, None) => Ok((earliest, None)),
        (Some(_), None) | (None, Some(_)) => Err(ErrorKind::TimeSingle.into()),
        (Some(start), Some(end)) if end <= start => Err(ErrorKind::EndTimeMismatch.into()),
        (Some(start), _) if start < earliest - WINDOW_SECONDS => Err(ErrorKind::TimeTooLongAgo.into()),
        (Some(start), _) if start > now + WINDOW_SECONDS => {
            Err(ErrorKind::ValueNotSupported("StartTime").into())
        }
        (Some(start), end) => Ok((start, end)),
    }
}

fn with_header(text: &str) -> Result<Variants, VendorError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Values {
        One(String),
        Many(Vec<String>),
    }
    let refuse = |why: String| ErrorKind::invalid("WithHeader").because(why);
    let headers: BTreeMap<String, Values> = serde_json::from_str(text)
        .map_err(|_| refuse(r#"expected a JSON object like {"Accept-Encoding":["gzip"]}"#.into()))?;
    let headers = headers.into_iter().map(|(name, values)| match values {
        Values::One(value) => (name, vec![value]),
        Values::Many(values) => (name, values),
    });
    headers.collect::<Variants>().checked().map_err(|why| refuse(why.to_string()))
}

/// The ids of `TaskId`, parted by commas, each once.
fn task_ids(params: &Params) -> Result<Vec<u64>, VendorError> {
    let text = params.text("TaskId").ok_or(ErrorKind::MissingParameter("TaskId"))?;
    let mut ids = Vec::new();
    for id in text.split(',') {
        let id = decimal(id.trim()).ok_or(ErrorKind::TaskIdMalformed)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() > TASK_IDS_MAX {
            return Err(ErrorKind::TaskIdMalformed.because(format!("at most {TASK_IDS_MAX} ids")));
        }
    }
    Ok(ids)
}

fn one_task_id(params: &Params) -> Result<u64, VendorError> {
    let text = params.text("TaskId").ok_or(ErrorKind::MissingParameter("TaskId"))?;
    Ok(decimal(text).ok_or(ErrorKind::TaskIdMalformed)?)
}

/// A number of decimal digits only.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
