//! Lists of tasks and of their lines: filtered, newest first, a page at a time.

use super::tasks::{self, COLUMNS};
use super::{sql, to_json, unsql};
use crate::{Error, Found, TaskFilter, TaskLine, TaskPage, TaskPlace, TaskRecord};
use freshen_model::ids::TaskId;
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

/// Lines that a search of texts looks at before it gives what it has.
const LINES_LOOKED_AT_MAX: u64 = 100_000;

/// Tasks that fit behind a place.
pub(super) fn tasks_behind(
    connection: &Connection,
    filter: &TaskFilter,
    place: Option<TaskPlace>,
) -> Result<Found<TaskRecord, TaskPlace>, Error> {
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let query = behind(filter, place);
    let mut statement = connection.prepare_cached(&query.text)?;
    // Whoever is confined to some domains learns nothing of the other lines.
    let within = filter.within.as_ref().map(to_json).transpose()?;
    let mut has_text = connection.prepare_cached(
        "SELECT 1 FROM task_lines WHERE task = ?1 AND instr(lower(url), lower(?2))
         AND (?3 IS NULL OR domain IN (SELECT value FROM json_each(?3)))",
    )?;
    let mut whole = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM tasks t WHERE t.id = ?"))?;
    let mut rows = statement.query(params_from_iter(&query.values))?;
    let mut found = Found { rows: Vec::new(), next: None };
    let (mut last, mut looked_at) = (None, 0);
    while let Some(row) = rows.next()? {
        if found.rows.len() >= limit || looked_at >= LINES_LOOKED_AT_MAX {
            found.next = last;
            break;
        }
        let (id, submitted_ms, lines): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        last = Some(TaskPlace { submitted_ms, id: TaskId(unsql(id)) });
        if let Some(text) = &filter.text {
            looked_at += unsql(lines);
            if !has_text.exists((id, text, &within))? {
                continue;
            }
        }
        found.rows.push(whole.query_row([id], |row| Ok(tasks::record(row)))??);
    }
    Ok(found)
}

/// The query of [`tasks_behind`]. It walks an index in the order of the list, so that nothing is sorted, but for the few tasks
/// of one URL; and of each task it reads no more than is in there, since a search may pass by many that are large.
fn behind(filter: &TaskFilter, place: Option<TaskPlace>) -> Query {
    // Where the place says more than the end of the time, only it should bound the walk.
    let to_ms = filter.to_ms.filter(|to_ms| place.is_none_or(|place| place.submitted_ms >= *to_ms));
    let filter = &TaskFilter { to_ms, ..filter.clone() };
    let mut fit = Fit::of(filter);
    let (mut tables, mut time) = ("tasks t", "t.submitted_ms");
    let mut id = "t.id";
    if let Some(url) = &filter.url {
        fit.demand("t.id IN (SELECT task FROM task_lines WHERE url = ?)", url.clone());
    }
    if let Some(domain) = &filter.domain {
        // CROSS JOIN fixes which table is walked.
        (tables, time, id) =
            ("task_domains d CROSS JOIN tasks t ON t.id = d.task", "d.submitted_ms", "d.task");
        fit.demand("d.domain = ?", domain.clone());
        for (term, bound) in [("d.submitted_ms >= ?", filter.from_ms), ("d.submitted_ms < ?", filter.to_ms)] {
            bound.into_iter().for_each(|ms| fit.demand(term, ms));
        }
    }
    fit.within(filter, "EXISTS (SELECT 1 FROM task_domains w WHERE w.task = t.id AND w.domain IN ", ")");
    if let Some(place) = place {
        fit.terms.push(format!("({time}, {id}) < (?, ?)"));
        fit.values.extend([place.submitted_ms.into(), sql(place.id.0).into()]);
    }
    let condition = fit.condition();
    let walked = "t.id, t.submitted_ms, t.lines";
    let text = format!("SELECT {walked} FROM {tables} {condition} ORDER BY {time} DESC, {id} DESC");
    Query { text, values: fit.values }
}

/// A query with its values.
struct Query {
    text: String,
    values: Vec<Value>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;
    use freshen_model::task::{Status, TaskKind};

    /// Which indexes a page of these needs, and whether it sorts.
    fn plan(connection: &Connection, filter: &TaskFilter) -> String {
        let query = behind(filter, Some(TaskPlace { submitted_ms: 5, id: TaskId(5) }));
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", query.text)).unwrap();
        let steps =
            statement.query_map(params_from_iter(&query.values), |row| row.get::<_, String>("detail"));
        steps.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn pages_are_read_off_indexes_in_their_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let all = TaskFilter { limit: 20, ..TaskFilter::default() };
        let acme = TaskFilter { account: Some("acme".into()), ..all.clone() };
        let narrow = TaskFilter {
            kind: Some(TaskKind::Url),
            statuses: vec![Status::Failed],
            from_ms: Some(1),
            to_ms: Some(9),
            text: Some("x".into()),
            ..acme.clone()
        };
        let by_time = "USING COVERING INDEX tasks_by_time (submitted_ms<?)";
        let by_account = "USING COVERING INDEX tasks_by_account (account=? AND submitted_ms<?)";
        let by_account_from =
            "USING COVERING INDEX tasks_by_account (account=? AND submitted_ms>? AND submitted_ms<?)";
        let by_domain = "USING COVERING INDEX task_domains_by_time (domain=? AND (submitted_ms,task)<(?,?))";
        let within = Some(["a.example".to_owned(), "b.example".to_owned()].into());
        for (filter, index) in [
            (all.clone(), by_time),
            (acme.clone(), by_account),
            (narrow, by_account_from),
            (TaskFilter { domain: Some("a.example".into()), ..acme.clone() }, by_domain),
            (TaskFilter { domain: Some("a.example".into()), ..all }, by_domain),
            (TaskFilter { within, ..acme.clone() }, by_account),
        ] {
            let plan = plan(&connection, &filter);
            assert!(plan.contains(index) && !plan.contains("B-TREE"), "{filter:?}: {plan}");
        }
        let of_url = plan(&connection, &TaskFilter { url: Some("http://a.example/x".into()), ..acme });
        assert!(of_url.contains("task_lines_by_url (url=?)"), "{of_url}");
    }
}
