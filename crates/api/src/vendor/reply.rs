//! What the actions answer: field names, nesting and JSON types exactly as the vendor has them.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Action;
use crate::timestamp;

/// The fields of a success, besides `RequestId`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To [`Action::RefreshVodObjectCaches`].
    #[serde(rename_all = "PascalCase")]
    RefreshVodObjectCaches {
        /// The purge's task, one a submission.
        #[serde(serialize_with = "as_text")]
        refresh_task_id: u64,
    },
    /// To [`Action::RefreshObjectCacheByCacheTag`].
    #[serde(rename_all = "PascalCase")]
    RefreshObjectCacheByCacheTag {
        /// The purge's task, one a submission.
        #[serde(serialize_with = "as_text")]
        refresh_task_id: u64,
    },
    /// To [`Action::PreloadVodObjectCaches`].
    #[serde(rename_all = "PascalCase")]
    PreloadVodObjectCaches {
        /// The prefetch's task, one a submission.
        #[serde(serialize_with = "as_text")]
        preload_task_id: u64,
    },
    /// To [`Action::DescribeVodRefreshTasks`]; see [`Reply::tasks`].
    #[serde(rename_all = "PascalCase")]
    DescribeVodRefreshTasks {
        /// The page, from one.
        page_number: u32,
        /// Rows a page.
        page_size: u32,
        /// Rows in all pages together.
        total_count: u64,
        /// The rows of this page.
        tasks: Tasks,
    },
    /// To [`Action::DescribeVodRefreshQuota`].
    DescribeVodRefreshQuota(VodQuota),
}

impl Reply {
    /// A page of tasks.
    pub fn tasks(page_number: u32, page_size: u32, total_count: u64, task: Vec<TaskRow>) -> Reply {
        Reply::DescribeVodRefreshTasks { page_number, page_size, total_count, tasks: Tasks { task } }
    }

    /// The action it answers.
    pub fn action(&self) -> Action {
        match self {
            Reply::RefreshVodObjectCaches { .. } => Action::RefreshVodObjectCaches,
            Reply::RefreshObjectCacheByCacheTag { .. } => Action::RefreshObjectCacheByCacheTag,
            Reply::PreloadVodObjectCaches { .. } => Action::PreloadVodObjectCaches,
            Reply::DescribeVodRefreshTasks { .. } => Action::DescribeVodRefreshTasks,
            Reply::DescribeVodRefreshQuota(_) => Action::DescribeVodRefreshQuota,
        }
    }
}

/// The level of nesting that VOD has around its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tasks {
    task: Vec<TaskRow>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn as_time<S: Serializer>(unix_seconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&timestamp::format(*unix_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{json, to_value};

    #[test]
    fn submissions_answer_with_the_task_id_as_text() {
        let purge = Reply::RefreshVodObjectCaches { refresh_task_id: 704_225_667 };
        let prefetch = Reply::PreloadVodObjectCaches { preload_task_id: 17_772_470_184 };
        assert_eq!(to_value(purge).unwrap(), json!({"RefreshTaskId": "704225667"}));
        assert_eq!(to_value(prefetch).unwrap(), json!({"PreloadTaskId": "17772470184"}));
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
        assert_eq!(to_value(Reply::tasks(1, 20, 1, vec![row])).unwrap(), expected);
        assert_eq!(to_value(Reply::tasks(1, 20, 0, vec![])).unwrap()["Tasks"], json!({"Task": []}));
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
        assert_eq!(to_value(Reply::DescribeVodRefreshQuota(quota)).unwrap(), expected);
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
