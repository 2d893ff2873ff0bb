//! Lists of tasks and of their lines: filtered, newest first, a page at a time.

use super::tasks::{self, COLUMNS};
use super::{sql, unsql};
use crate::{Error, TaskFilter, TaskLine, TaskPage, TaskRecord};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Tasks that fit.
pub(super) fn tasks(connection: &Connection, filter: &TaskFilter) -> Result<TaskPage<TaskRecord>, Error> {
    let mut fit = Fit::of(filter);
    if let Some(domain) = &filter.domain {
        fit.demand(
            "EXISTS (SELECT 1 FROM task_domains d WHERE d.domain = ? AND d.task = t.id)",
            domain.clone(),
        );
    }
    fit.within(filter, "EXISTS (SELECT 1 FROM task_domains d WHERE d.task = t.id AND d.domain IN ", ")");
    if let Some(url) = &filter.url {
        fit.demand("t.id IN (SELECT task FROM task_lines WHERE url = ?)", url.clone());
    }
    let from = format!("FROM tasks t {}", fit.condition());
    let total = fit.count(connection, &format!("SELECT count(*) {from}"))?;
    let query = format!("SELECT {COLUMNS} {from} ORDER BY t.submitted_ms DESC, t.id DESC LIMIT ? OFFSET ?");
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_and_then(params_from_iter(fit.paged(filter)), tasks::record)?;
    Ok(TaskPage { rows: rows.collect::<Result<_, _>>()?, total })
}

/// Lines of tasks that fit; where the filter names a URL or a domain, only the lines that have it.
pub(super) fn lines(connection: &Connection, filter: &TaskFilter) -> Result<TaskPage<TaskLine>, Error> {
    let mut fit = Fit::of(filter);
    // Where every line of a task fits, the tasks' own counts add up to the total.
    let whole = filter.domain.is_none() && filter.within.is_none() && filter.url.is_none();
    let of_tasks = format!("SELECT coalesce(sum(t.lines), 0) FROM tasks t {}", fit.condition());
    if let Some(domain) = &filter.domain {
        fit.demand(
            "EXISTS (SELECT 1 FROM task_domains d WHERE d.domain = ? AND d.task = t.id)",
            domain.clone(),
        );
        fit.demand("l.domain = ?", domain.clone());
    }
    fit.within(filter, "l.domain IN ", "");
    if let Some(url) = &filter.url {
        fit.demand("l.url = ?", url.clone());
    }
    // CROSS JOIN fixes which table is walked: the few lines of one URL, or the tasks in the order asked for.
    let tables = match filter.url {
        Some(_) => "task_lines l CROSS JOIN tasks t ON t.id = l.task",
        None => "tasks t CROSS JOIN task_lines l ON l.task = t.id",
    };
    let from = format!("FROM {tables} {}", fit.condition());
    let total = fit.count(connection, &if whole { of_tasks } else { format!("SELECT count(*) {from}") })?;
    let query = format!(
        "SELECT {COLUMNS}, l.line, l.url {from} ORDER BY t.submitted_ms DESC, t.id DESC, l.line LIMIT ? OFFSET ?"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_and_then(params_from_iter(fit.paged(filter)), |row| {
        Ok::<_, Error>(TaskLine { task: tasks::record(row)?, line: row.get("line")?, url: row.get("url")? })
    })?;
    Ok(TaskPage { rows: rows.collect::<Result<_, _>>()?, total })
}

/// What a row must be, as SQL.
struct Fit {
    terms: Vec<String>,
    values: Vec<Value>,
}

impl Fit {
    /// What the filter says of tasks alone.
    fn of(filter: &TaskFilter) -> Fit {
        let mut fit = Fit { terms: Vec::new(), values: Vec::new() };
        // A URL has few tasks: the `+` keeps the planner from walking all of an account's tasks instead.
        let plus = if filter.url.is_some() { "+" } else { "" };
        if let Some(id) = filter.id {
            fit.demand("t.id = ?", sql(id.0));
        }
        if let Some(account) = &filter.account {
            fit.demand(&format!("{plus}t.account = ?"), account.clone());
        }
        if let Some(kind) = filter.kind {
            fit.demand("t.kind = ?", kind.as_str().to_owned());
        }
        if let Some(from_ms) = filter.from_ms {
            fit.demand(&format!("{plus}t.submitted_ms >= ?"), from_ms);
        }
        if let Some(to_ms) = filter.to_ms {
            fit.demand(&format!("{plus}t.submitted_ms < ?"), to_ms);
        }
        if !filter.statuses.is_empty() {
            fit.terms.push(format!("t.status IN ({})", vec!["?"; filter.statuses.len()].join(", ")));
            fit.values.extend(filter.statuses.iter().map(|status| status.as_str().to_owned().into()));
        }
        fit
    }

    fn demand(&mut self, term: &str, value: impl Into<Value>) {
        self.terms.push(term.to_owned());
        self.values.push(value.into());
    }

    /// Demands one of the domains that the filter is confined to.
    fn within(&mut self, filter: &TaskFilter, before: &str, after: &str) {
        if let Some(domains) = &filter.within {
            self.terms.push(format!("{before}({}){after}", vec!["?"; domains.len()].join(", ")));
            self.values.extend(domains.iter().map(|domain| domain.clone().into()));
        }
    }

    fn condition(&self) -> String {
        if self.terms.is_empty() { String::new() } else { format!("WHERE {}", self.terms.join(" AND ")) }
    }

    fn count(&self, connection: &Connection, query: &str) -> Result<u64, Error> {
        let values = params_from_iter(&self.values);
        Ok(connection.prepare_cached(query)?.query_row(values, |row| Ok(unsql(row.get(0)?)))?)
    }

    fn paged(mut self, filter: &TaskFilter) -> Vec<Value> {
        self.values.extend([sql(filter.limit).into(), sql(filter.offset).into()]);
        self.values
    }
}
