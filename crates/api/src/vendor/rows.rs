//! The list of tasks in the vendor's terms: one row for each line of a task.

use freshen_control::{Control, LineView, TaskFilter};
use freshen_model::ids::TaskId;
use freshen_model::location::{Location, Scheme};
use freshen_model::task::{Status, StepState, TaskKind};

use super::{
    ErrorKind, Process, Product, Reply, TaskQuery, TaskRow, TaskStatus, TaskType, UrlDetail, UrlProgress,
    VendorError, refusals,
};
use crate::gate::Caller;

/// Lines read at once where rows must be looked at one by one, and in all.
const READ_AT_ONCE: u64 = 200;
const READ_MAX: u64 = 10_000;
/// POPs that a description names for one reason.
const POPS_NAMED_MAX: usize = 5;

/// The rows of the caller that a call asks for.
pub(super) async fn list(
    control: &Control,
    caller: &Caller,
    product: Product,
    call: &TaskQuery,
) -> Result<Reply, VendorError> {
    let (size, offset) =
        (u64::from(call.page_size), u64::from(call.page_number - 1) * u64::from(call.page_size));
    let filter = TaskFilter {
        account: Some(caller.account.clone()),
        within: caller.rights.domains.clone(),
        id: call.task_id.map(TaskId),
        kind: call.object_type.map(kind),
        statuses: call.status.map(|status| tasks_with(status, call.object_type)).unwrap_or_default(),
        // A foreign domain and an unknown one have the same lines here: none.
        domain: call.domain_name.as_ref().map(|name| name.to_ascii_lowercase()),
        url: call.object_path.clone(),
        from_ms: Some(call.start_time.saturating_mul(1_000)),
        to_ms: call.end_time.map(|end| end.saturating_mul(1_000)),
        offset,
        limit: size,
        ..TaskFilter::default()
    };
    let (rows, total) = match (call.object_type, call.status) {
        // Lines of one failed prefetch may have come to different ends, which only the rows themselves say.
        (Some(TaskType::Preload), Some(status @ (TaskStatus::Complete | TaskStatus::Failed))) => {
            let mut rows = all_rows(control, filter).await?;
            rows.retain(|row| row.status == status);
            let total = rows.len() as u64;
            let page = rows.into_iter().skip(usize::try_from(offset).unwrap_or(usize::MAX));
            (page.take(call.page_size as usize).collect(), total)
        }
        _ => {
            let page = control.lines(&filter).await.map_err(refusals::of_ledger)?;
            (page.rows.iter().map(row).collect(), page.total)
        }
    };
    Ok(Reply::tasks(product, call.page_number, call.page_size, total, rows))
}

/// The rows of these tasks, in the order of the ids; unknown, foreign and old ones have none.
pub(super) async fn by_id(
    control: &Control,
    caller: &Caller,
    ids: &[u64],
    now: i64,
) -> Result<Reply, VendorError> {
    let mut tasks = Vec::new();
    for id in ids {
        tasks.extend(lines_of(control, caller, *id, now).await?.iter().map(row));
    }
    Ok(Reply::TasksById { total_count: tasks.len() as u64, tasks })
}

/// How far each URL of a prefetch is, by domain; nothing of any other task.
pub(super) async fn preload_detail(
    control: &Control,
    caller: &Caller,
    id: u64,
    now: i64,
) -> Result<Reply, VendorError> {
    let lines = lines_of(control, caller, id, now).await?;
    let mut url_details: Vec<UrlDetail> = Vec::new();
    for line in lines.iter().filter(|line| line.task.kind == TaskKind::Prefetch) {
        let row = row(line);
        let domain =
            Location::parse(&line.url, Scheme::Optional).map(|location| location.host).unwrap_or_default();
        let known = url_details.iter().position(|detail| detail.domain == domain);
        let at = known.unwrap_or_else(|| {
            url_details.push(UrlDetail {
                task_id: id,
                domain,
                status: row.status,
                process: row.process,
                ret_code: "0",
                creation_time: row.creation_time,
                end_time: line.task.ended_ms.map(|ms| ms.div_euclid(1_000)),
                urls: Vec::new(),
            });
            url_details.len() - 1
        });
        let detail = &mut url_details[at];
        // One URL that failed is enough: a domain is complete only where all are.
        if row.status == TaskStatus::Failed {
            detail.status = TaskStatus::Failed;
        }
        detail.process = detail.process.min(row.process);
        let description = match row.status {
            TaskStatus::Complete => "Successfully preloaded".to_owned(),
            _ => row.description.replace("; ", "|"),
        };
        detail.urls.push(UrlProgress { url: line.url.clone(), success: row.process, description });
    }
    Ok(Reply::PreloadDetail { total_count: url_details.len() as u64, url_details })
}

/// All lines of a task, if it is the account's and not older than tasks are listed.
async fn lines_of(
    control: &Control,
    caller: &Caller,
    id: u64,
    now: i64,
) -> Result<Vec<LineView>, VendorError> {
    let mut filter = TaskFilter {
        account: Some(caller.account.clone()),
        within: caller.rights.domains.clone(),
        id: Some(TaskId(id)),
        from_ms: Some((now - super::LISTED_SECONDS).saturating_mul(1_000)),
        limit: READ_AT_ONCE,
        ..TaskFilter::default()
    };
    let mut lines = Vec::new();
    loop {
        let page = control.lines(&filter).await.map_err(refusals::of_ledger)?;
        lines.extend(page.rows);
        filter.offset += READ_AT_ONCE;
        if filter.offset >= page.total.min(READ_MAX) {
            return Ok(lines);
        }
    }
}

async fn all_rows(control: &Control, mut filter: TaskFilter) -> Result<Vec<TaskRow>, VendorError> {
    (filter.offset, filter.limit) = (0, READ_AT_ONCE);
    let mut rows = Vec::new();
    loop {
        let page = control.lines(&filter).await.map_err(refusals::of_ledger)?;
        if page.total > READ_MAX {
            let why = format!(
                "{} lines may be it, name a shorter time or a domain to look at {READ_MAX}",
                page.total
            );
            return Err(ErrorKind::invalid("Status").because(why));
        }
        rows.extend(page.rows.iter().map(row));
        filter.offset += READ_AT_ONCE;
        if filter.offset >= page.total {
            return Ok(rows);
        }
    }
}

fn kind(object_type: TaskType) -> TaskKind {
    match object_type {
        TaskType::File => TaskKind::Url,
        TaskType::Directory => TaskKind::Directory,
        TaskType::Regex => TaskKind::Regex,
        TaskType::IgnoreParams => TaskKind::Query,
        TaskType::CacheTag => TaskKind::Tag,
        TaskType::Preload => TaskKind::Prefetch,
    }
}

/// The tasks that may have rows of this status.
fn tasks_with(status: TaskStatus, object_type: Option<TaskType>) -> Vec<Status> {
    match status {
        TaskStatus::Pending => vec![Status::Pending],
        TaskStatus::Refreshing => vec![Status::Running],
        TaskStatus::Complete if object_type == Some(TaskType::Preload) => {
            vec![Status::Complete, Status::Failed]
        }
        TaskStatus::Complete => vec![Status::Complete],
        TaskStatus::Failed => vec![Status::Failed],
    }
}

/// A line as a row. While its task runs it has the task's status; then it has its own.
fn row(line: &LineView) -> TaskRow {
    let task = &line.task;
    let faults = faults(line);
    let (done, of) = match (task.status, task.kind) {
        (Status::Failed, _) => (task.pops.len().saturating_sub(faults.len()) as u64, task.pops.len() as u64),
        (_, TaskKind::Prefetch) => (task.percent.into(), 100),
        // A fenced POP is done: its own clock keeps it from using what was purged.
        _ => (task.pops.iter().filter(|step| step.state.ended()).count() as u64, task.pops.len() as u64),
    };
    let status = match task.status {
        Status::Pending => TaskStatus::Pending,
        Status::Running => TaskStatus::Refreshing,
        Status::Complete => TaskStatus::Complete,
        Status::Failed if faults.is_empty() && task.kind == TaskKind::Prefetch => TaskStatus::Complete,
        Status::Failed => TaskStatus::Failed,
    };
    TaskRow {
        task_id: task.id.0,
        object_path: line.url.clone(),
        object_type: match task.kind {
            TaskKind::Url => TaskType::File,
            // The vendor has no word for a host but its topmost directory.
            TaskKind::Directory | TaskKind::Host => TaskType::Directory,
            TaskKind::Query => TaskType::IgnoreParams,
            TaskKind::Regex => TaskType::Regex,
            TaskKind::Tag => TaskType::CacheTag,
            TaskKind::Prefetch => TaskType::Preload,
        },
        status,
        process: Process::of(status, done, of),
        creation_time: task.submitted_ms.div_euclid(1_000),
        description: if status == TaskStatus::Failed { describe(&faults) } else { String::new() },
    }
}

/// The POPs at which this line of a failed task is not warm, and why; of an overdue POP any line may be meant.
fn faults(line: &LineView) -> Vec<(&str, &str)> {
    if line.task.status != Status::Failed {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for step in &line.task.pops {
        let pop = step.pop.as_str();
        match &step.state {
            StepState::Overdue { .. } => faults.push((pop, "Internal Error: not finished by the deadline")),
            StepState::Cancelled { .. } => faults.push((pop, "Internal Error: cancelled")),
            StepState::Failed { failures, progress, .. } => {
                let here = failures.iter().find(|failure| failure.line == line.line);
                match here {
                    Some(failure) => faults.push((pop, failure.reason.as_str())),
                    // Not all failures are kept, so that this line may be one of the others.
                    None if (failures.len() as u64) < progress.files_failed.max(1) => {
                        faults.push((pop, "Internal Error"));
                    }
                    None => {}
                }
            }
            _ => {}
        }
    }
    faults
}

/// Each reason once, with the POPs that gave it.
fn describe(faults: &[(&str, &str)]) -> String {
    let mut told: Vec<(&str, Vec<&str>)> = Vec::new();
    for (pop, reason) in faults {
        match told.iter_mut().find(|(known, _)| known == reason) {
            Some((_, pops)) => pops.push(pop),
            None => told.push((reason, vec![pop])),
        }
    }
    let reasons = told.into_iter().map(|(reason, pops)| {
        let named = pops[..pops.len().min(POPS_NAMED_MAX)].join(", ");
        match pops.len() - pops.len().min(POPS_NAMED_MAX) {
            0 => format!("{reason} ({named})"),
            more => format!("{reason} ({named} and {more} more)"),
        }
    });
    reasons.collect::<Vec<_>>().join("; ")
}
