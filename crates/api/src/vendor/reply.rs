//! What the actions answer: field names, nesting and JSON types exactly as the vendor has them.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{DomainConfigs, DomainDetail, Domains, MediaRow, Product, TrafficReply};
use crate::timestamp;

/// The fields of a success, besides `RequestId`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To a purge.
    #[serde(rename_all = "PascalCase")]
    Purge {
        /// The purge's task, one a submission.
        #[serde(serialize_with = "as_text")]
        refresh_task_id: u64,
    },
    /// To a prefetch in VOD.
    #[serde(rename_all = "PascalCase")]
    VodPrefetch {
        /// The prefetch's task, one a submission.
        #[serde(serialize_with = "as_text")]
        preload_task_id: u64,
    },
    /// To a prefetch in CDN.
    #[serde(rename_all = "PascalCase")]
    CdnPrefetch {
        /// The prefetch's task, one a submission.
        #[serde(serialize_with = "as_text")]
        push_task_id: u64,
    },
    /// To a list of tasks; see [`Reply::tasks`].
    #[serde(rename_all = "PascalCase")]
    Tasks {
        /// The page, from one.
        page_number: u32,
        /// Rows a page.
        page_size: u32,
        /// Rows in all pages together.
        total_count: u64,
        /// The rows of this page.
        tasks: Tasks,
    },
    /// To a list of tasks by their ids, without nesting.
    #[serde(rename_all = "PascalCase")]
    TasksById {
        /// How many rows there are.
        total_count: u64,
        /// The rows.
        tasks: Vec<TaskRow>,
    },
    /// To a question for the URLs of a prefetch.
    #[serde(rename_all = "PascalCase")]
    PreloadDetail {
        /// How many domains there are.
        total_count: u64,
        /// One for each domain of the task.
        url_details: Vec<UrlDetail>,
    },
    /// To a request for some media.
    #[serde(rename_all = "PascalCase")]
    MediaJob {
        /// The job; empty where none of the media was left for one.
        media_refresh_job_id: String,
        /// Media that are not known, parted by commas.
        non_exist_media_ids: String,
        /// Media that the caller does not reach, parted by commas.
        forbidden_media_ids: String,
    },
    /// To a question for a job of media, without nesting.
    #[serde(rename_all = "PascalCase")]
    MediaJobs {
        /// One for each medium.
        media_refresh_jobs: Vec<MediaRow>,
    },
    /// To a change of domains: nothing but the request's id.
    Done {},
    /// To a list of domains.
    #[serde(rename_all = "PascalCase")]
    Domains {
        /// The page, from one.
        page_number: u32,
        /// Rows a page.
        page_size: u32,
        /// Rows in all pages together.
        total_count: u64,
        /// The rows of this page.
        domains: Domains,
    },
    /// To a question for one domain.
    #[serde(rename_all = "PascalCase")]
    DomainDetail {
        /// The domain.
        domain_detail: DomainDetail,
    },
    /// To a question for a domain's functions.
    #[serde(rename_all = "PascalCase")]
    DomainConfigs {
        /// Those that are configured.
        domain_configs: DomainConfigs,
    },
    /// To a question for traffic.
    Traffic(TrafficReply),
    /// To a question for quotas in VOD.
    VodQuota(VodQuota),
    /// To a question for quotas in CDN.
    CdnQuota(CdnQuota),
    /// To a question for quotas in CDN, as numbers.
    CdnUserQuota(CdnUserQuota),
}

impl Reply {
    /// The task of a prefetch.
    pub fn prefetch(product: Product, task_id: u64) -> Reply {
        match product {
            Product::Vod => Reply::VodPrefetch { preload_task_id: task_id },
            Product::Cdn => Reply::CdnPrefetch { push_task_id: task_id },
        }
    }

    /// A page of tasks.
    pub fn tasks(
        product: Product,
        page_number: u32,
        page_size: u32,
        total_count: u64,
        rows: Vec<TaskRow>,
    ) -> Reply {
        let tasks = match product {
            Product::Vod => Tasks::Task(rows),
            Product::Cdn => Tasks::CDNTask(rows),
        };
        Reply::Tasks { page_number, page_size, total_count, tasks }
    }
}

/// The level of nesting around the rows, named by the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Tasks {
    /// VOD.
    Task(Vec<TaskRow>),
    /// CDN.
    CDNTask(Vec<TaskRow>),
}

/// One URL or directory of a task; all fields are strings on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskRow {
    /// The task.
    #[serde(serialize_with = "as_text")]
    pub task_id: u64,
    /// The line as submitted.
    pub object_path: String,
    /// What kind of task.
    pub object_type: TaskType,
    /// Where it stands.
    pub status: TaskStatus,
    /// How far it is.
    pub process: Process,
    /// When it was submitted, in unix seconds.
    #[serde(serialize_with = "as_time")]
    pub creation_time: i64,
    /// Why it failed; empty otherwise.
    pub description: String,
}

/// The kind of a task, as listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskType {
    /// A purge by URL.
    File,
    /// A purge by directory.
    Directory,
    /// A purge by pattern.
    Regex,
    /// A purge by URL, whatever its query. The vendor documents no word for such rows, nor for the next.
    IgnoreParams,
    /// A purge by tag.
    CacheTag,
    /// A prefetch.
    Preload,
}

impl TaskType {
    /// The one of this name, in any case.
    pub fn named(name: &str) -> Option<TaskType> {
        let all = [
            ("file", TaskType::File),
            ("directory", TaskType::Directory),
            ("regex", TaskType::Regex),
            ("ignoreparams", TaskType::IgnoreParams),
            ("cachetag", TaskType::CacheTag),
            ("preload", TaskType::Preload),
        ];
        all.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, kind)| kind)
    }
}

/// Where a task stands, in the vendor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TaskStatus {
    /// Pending.
    Pending,
    /// Running.
    Refreshing,
    /// Complete.
    Complete,
    /// Failed.
    Failed,
}

impl TaskStatus {
    /// The one of this name, in any case.
    pub fn named(name: &str) -> Option<TaskStatus> {
        let all = [
            ("Pending", TaskStatus::Pending),
            ("Refreshing", TaskStatus::Refreshing),
            ("Complete", TaskStatus::Complete),
            ("Failed", TaskStatus::Failed),
        ];
        all.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, status)| status)
    }
}

/// How far a task is, in hundredths of a percent. 100 % if and only if it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process(u16);

impl Process {
    /// Rounded down, so that whatever is missing shows.
    pub fn of(status: TaskStatus, done: u64, total: u64) -> Process {
        if status == TaskStatus::Complete {
            return Process(10_000);
        }
        let hundredths = u128::from(done) * 10_000 / u128::from(total.max(1));
        Process(u16::try_from(hundredths).unwrap_or(u16::MAX).min(9_999))
    }
}

impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match hundredths {
            0 => write!(out, "{whole}%"),
            _ if hundredths % 10 == 0 => write!(out, "{whole}.{}%", hundredths / 10),
            _ => write!(out, "{whole}.{hundredths:02}%"),
        }
    }
}

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The day's quotas, and what remains of each; strings on the wire. Blocking URLs is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VodQuota {
    /// Purges by URL.
    #[serde(serialize_with = "as_text")]
    pub url_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub url_remain: u64,
    /// Purges by directory.
    #[serde(serialize_with = "as_text")]
    pub dir_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub dir_remain: u64,
    /// Prefetches.
    #[serde(serialize_with = "as_text")]
    pub preload_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub preload_remain: u64,
    /// URLs blocked.
    #[serde(serialize_with = "as_text")]
    pub block_quota: u64,
    /// What remains of them. The vendor spells this one field with a small first letter.
    #[serde(rename = "blockRemain", serialize_with = "as_text")]
    pub block_remain: u64,
}

/// The day's quotas in CDN; strings on the wire. Blocking URLs and prefetching to edges alone are not offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CdnQuota {
    /// Purges by URL.
    #[serde(serialize_with = "as_text")]
    pub url_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub url_remain: u64,
    /// Purges by directory.
    #[serde(serialize_with = "as_text")]
    pub dir_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub dir_remain: u64,
    /// Prefetches.
    #[serde(serialize_with = "as_text")]
    pub preload_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub preload_remain: u64,
    /// Purges by pattern.
    #[serde(serialize_with = "as_text")]
    pub regex_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub regex_remain: u64,
    /// Purges that ignore the query.
    #[serde(serialize_with = "as_text")]
    pub ignore_params_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub ignore_params_remain: u64,
    /// URLs blocked.
    #[serde(serialize_with = "as_text")]
    pub block_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub block_remain: u64,
    /// Prefetches to edges alone.
    #[serde(serialize_with = "as_text")]
    pub preload_edge_quota: u64,
    /// What remains of them.
    #[serde(serialize_with = "as_text")]
    pub preload_edge_remain: u64,
}

/// The quotas of an account in CDN; numbers on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "as in CdnQuota")]
pub struct CdnUserQuota {
    pub refresh_url_quota: u64,
    pub refresh_url_remain: u64,
    pub refresh_dir_quota: u64,
    pub refresh_dir_remain: u64,
    pub preload_quota: u64,
    pub preload_remain: u64,
    pub ignore_params_quota: u64,
    pub ignore_params_remain: u64,
    pub block_quota: u64,
    pub block_remain: u64,
    /// Domains that the account may have.
    pub domain_quota: u64,
}

/// How far the URLs of one domain of a prefetch are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UrlDetail {
    /// The task.
    #[serde(serialize_with = "as_text")]
    pub task_id: u64,
    /// The domain.
    pub domain: String,
    /// Where these URLs stand together.
    pub status: TaskStatus,
    /// How far they are.
    pub process: Process,
    /// Always `0`, the vendor's word for an answer that could be given.
    pub ret_code: &'static str,
    /// When the task was submitted, in unix seconds.
    #[serde(serialize_with = "as_time")]
    pub creation_time: i64,
    /// When it ended, in unix seconds; empty on the wire until then.
    #[serde(serialize_with = "as_time_or_nothing")]
    pub end_time: Option<i64>,
    /// Each URL.
    pub urls: Vec<UrlProgress>,
}

/// How far one URL of a prefetch is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UrlProgress {
    /// The URL as submitted.
    pub url: String,
    /// At how many of the POPs it is warm.
    pub success: Process,
    /// What became of it; empty while it is not known.
    pub description: String,
}

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn as_time<S: Serializer>(unix_seconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&timestamp::format(*unix_seconds))
}

fn as_time_or_nothing<S: Serializer>(unix_seconds: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match unix_seconds {
        Some(unix_seconds) => as_time(unix_seconds, serializer),
        None => serializer.serialize_str(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{json, to_value};

    #[test]
    fn submissions_answer_with_the_task_id_as_text() {
        let purge = Reply::Purge { refresh_task_id: 704_225_667 };
        let prefetch = |product| to_value(Reply::prefetch(product, 17_772_470_184)).unwrap();
        assert_eq!(to_value(purge).unwrap(), json!({"RefreshTaskId": "704225667"}));
        assert_eq!(prefetch(Product::Vod), json!({"PreloadTaskId": "17772470184"}));
        assert_eq!(prefetch(Product::Cdn), json!({"PushTaskId": "17772470184"}));
    }

    #[test]
    fn a_list_has_numbers_outside_and_strings_inside() {
        let row = TaskRow {
            task_id: 704_222_904,
            object_path: "http://vod.test.com/a.mp4".into(),
            object_type: TaskType::Preload,
            status: TaskStatus::Failed,
            process: Process::of(TaskStatus::Failed, 1, 2),
            creation_time: 1_417_076_602,
            description: "Origin Timeout".into(),
        };
        let expected = json!({
            "PageNumber": 1,
            "PageSize": 20,
            "TotalCount": 1,
            "Tasks": {"Task": [{
                "TaskId": "704222904",
                "ObjectPath": "http://vod.test.com/a.mp4",
                "ObjectType": "preload",
                "Status": "Failed",
                "Process": "50%",
                "CreationTime": "2014-11-27T08:23:22Z",
                "Description": "Origin Timeout",
            }]},
        });
        let list = |product, rows: Vec<TaskRow>| {
            to_value(Reply::tasks(product, 1, 20, rows.len() as u64, rows)).unwrap()
        };
        assert_eq!(list(Product::Vod, vec![row.clone()]), expected);
        assert_eq!(list(Product::Vod, vec![])["Tasks"], json!({"Task": []}));
        assert_eq!(list(Product::Cdn, vec![row.clone()])["Tasks"], json!({"CDNTask": [row]}));
    }

    #[test]
    fn quotas_are_strings_and_one_has_a_small_letter() {
        let quota = VodQuota {
            url_quota: 2_000,
            url_remain: 1_996,
            dir_quota: 100,
            dir_remain: 99,
            preload_quota: 500,
            preload_remain: 500,
            block_quota: 0,
            block_remain: 0,
        };
        let expected = json!({
            "UrlQuota": "2000", "UrlRemain": "1996", "DirQuota": "100", "DirRemain": "99",
            "PreloadQuota": "500", "PreloadRemain": "500", "BlockQuota": "0", "blockRemain": "0",
        });
        assert_eq!(to_value(Reply::VodQuota(quota)).unwrap(), expected);
    }

    #[test]
    fn in_cdn_they_are_strings_or_numbers_and_all_letters_are_large() {
        let quota = to_value(Reply::CdnQuota(CdnQuota { url_quota: 7, ..CdnQuota::default() })).unwrap();
        assert_eq!((&quota["UrlQuota"], &quota["BlockRemain"]), (&json!("7"), &json!("0")));
        let names = ["Url", "Dir", "Preload", "Block", "Regex", "IgnoreParams", "PreloadEdge"];
        for name in names.iter().flat_map(|name| [format!("{name}Quota"), format!("{name}Remain")]) {
            assert!(quota[&name].is_string(), "{name}");
        }
        assert_eq!(quota.as_object().unwrap().len(), 2 * names.len());
        let user = CdnUserQuota { refresh_url_quota: 7, domain_quota: 9, ..CdnUserQuota::default() };
        let user = to_value(Reply::CdnUserQuota(user)).unwrap();
        assert_eq!((&user["RefreshUrlQuota"], &user["DomainQuota"]), (&json!(7), &json!(9)));
        assert!(user.as_object().unwrap().values().all(serde_json::Value::is_u64));
    }

    #[test]
    fn progress_is_rounded_down_to_two_decimals() {
        let running = |done, total| Process::of(TaskStatus::Refreshing, done, total).to_string();
        assert_eq!(running(0, 0), "0%");
        assert_eq!(running(1, 3), "33.33%");
        assert_eq!(running(1, 200), "0.5%");
        assert_eq!(running(1, 10_000), "0.01%");
        assert_eq!(running(u64::MAX - 1, u64::MAX), "99.99%");
    }

    proptest! {
        #[test]
        fn only_what_is_complete_is_at_100_percent(done: u64, total: u64) {
            for status in [TaskStatus::Pending, TaskStatus::Refreshing, TaskStatus::Failed] {
                prop_assert!(Process::of(status, done, total).to_string() != "100%");
            }
            prop_assert_eq!(Process::of(TaskStatus::Complete, done, total).to_string(), "100%");
        }
    }
}
