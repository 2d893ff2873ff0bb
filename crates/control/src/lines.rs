//! What the lines of a submission name: rules or objects, by the settings of the account's domains.

use crate::submit::{SubmitError, SubmitRequest};
use freshen_ledger::{DomainRecord, Line, Submission};
use freshen_model::follow::{DOMAINS_MAX, Follow};
use freshen_model::ids::Seq;
use freshen_model::key::{BadPath, Key};
use freshen_model::location::{self, BadUrl, Location, Scheme};
use freshen_model::order::PrefetchItem;
use freshen_model::pattern::{BadPattern, Pattern};
use freshen_model::rule::{Matcher, Rule};
use freshen_model::tag::{self, BadTag};
use freshen_model::task::{Holds, PrefetchTerms, TaskKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// Bad lines that are told; whoever has more has seen enough.
const BAD_LINES_MAX: usize = 100;
/// Characters of a bad line that are told.
const BAD_TEXT_MAX: usize = 200;
/// Warnings that are told.
const WARNINGS_MAX: usize = 20;

/// A line that cannot be submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its place, from 1.
    pub line: usize,
    /// The line, cut at 200 characters.
    pub text: String,
    /// What is wrong, and what to write instead.
    pub fault: LineFault,
}

/// What is wrong with a line; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text says it")]
pub enum LineFault {
    #[error(transparent)]
    Url(#[from] BadUrl),
    #[error(transparent)]
    Path(#[from] BadPath),
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    #[error(transparent)]
    Tag(#[from] BadTag),
    /// The same for an unknown domain and another account's, so that nobody can find out who is served here.
    #[error("{0} is not a domain of this account")]
    ForeignDomain(String),
    #[error("{0} is stopped, start it before something of it is prefetched")]
    StoppedDomain(String),
    #[error("a directory has no query, remove it or purge the URL")]
    DirectoryWithQuery,
    #[error("a directory ends with /, write it so or purge the URL")]
    DirectoryWithoutSlash,
    #[error("all queries of the path are purged, remove the one that is written or purge the URL")]
    QueryWithQuery,
    #[error("a host has no path, remove it or purge the directory")]
    HostWithPath,
    #[error("a directory cannot be prefetched, name the files")]
    DirectoryPrefetched,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

/// The domains of an account, by name.
type Domains<'a> = HashMap<&'a str, &'a DomainRecord>;

/// What a request names, in the ledger's terms.
#[derive(Default)]
pub(crate) struct Named {
    pub(crate) lines: Vec<Line>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) items: Vec<PrefetchItem>,
    /// What is likely a mistake; at most [`WARNINGS_MAX`].
    pub(crate) warnings: Vec<String>,
}

impl Named {
    /// Reads every line with the settings of the account's domains; gives the bad ones where there are any.
    pub(crate) fn read(request: &SubmitRequest, records: &[DomainRecord]) -> Result<Named, SubmitError> {
        let domains: Domains<'_> = records.iter().map(|domain| (domain.name.as_str(), domain)).collect();
        let tagged = Tagged::of(request, records, &domains)?;
        let mut named = Named::default();
        let mut bad = Vec::new();
        for (text, line) in request.lines.iter().zip(1..) {
            let read = match request.kind {
                TaskKind::Tag => named.tag(request, text, &tagged),
                _ => named.line(request, (line, text), &domains),
            };
            if let Err(fault) = read {
                bad.push(BadLine { line, text: text.chars().take(BAD_TEXT_MAX).collect(), fault });
                if bad.len() == BAD_LINES_MAX {
                    break;
                }
            }
        }
        if bad.is_empty() { Ok(named) } else { Err(SubmitError::BadLines(bad)) }
    }

    /// A line that names its host itself.
    fn line(
        &mut self,
        request: &SubmitRequest,
        (number, text): (usize, &str),
        domains: &Domains<'_>,
    ) -> Result<(), LineFault> {
        let of = |host: &str| {
            let domain = domains.get(host).copied();
            domain.ok_or_else(|| LineFault::ForeignDomain(host.to_owned()))
        };
        if request.kind == TaskKind::Regex {
            let (host, pattern) = location::host_and_pattern(text, request.scheme)?;
            let domain = of(&host)?;
            let pattern = Pattern::new(pattern);
            pattern.compile()?;
            let space = domain.settings.space(&domain.name).to_owned();
            self.push_rule(request, text, &host, Matcher::Regex { space, pattern });
            return Ok(());
        }
        // A host is named by itself as well as by its topmost URL.
        let scheme = if request.kind == TaskKind::Host { Scheme::Optional } else { request.scheme };
        let location = Location::parse(text, scheme)?;
        let domain = of(&location.host)?;
        if request.kind == TaskKind::Prefetch && domain.settings.stopped {
            return Err(LineFault::StoppedDomain(domain.name.clone()));
        }
        let key = Key::in_domain(&domain.name, &domain.settings, &location.path_and_query)?;
        self.warn(request.kind, number, &location, &key);
        let matcher = match request.kind {
            TaskKind::Directory if location.has_query() => return Err(LineFault::DirectoryWithQuery),
            TaskKind::Directory if !location.path().ends_with('/') => {
                return Err(LineFault::DirectoryWithoutSlash);
            }
            TaskKind::Query if location.has_query() => return Err(LineFault::QueryWithQuery),
            TaskKind::Host if location.path_and_query != "/" => return Err(LineFault::HostWithPath),
            TaskKind::Directory => Matcher::Directory { key },
            TaskKind::Query => Matcher::Query { key },
            TaskKind::Host => Matcher::Space { space: key.space().to_owned() },
            TaskKind::Prefetch if key.path().ends_with('/') && key.path() != "/" => {
                return Err(LineFault::DirectoryPrefetched);
            }
            TaskKind::Prefetch => {
                self.lines.push(Line { url: text.to_owned(), domain: location.host.clone() });
                let Location { host, path_and_query } = location;
                self.items.push(PrefetchItem { domain: host, path_and_query });
                return Ok(());
            }
            TaskKind::Url | TaskKind::Regex | TaskKind::Tag => Matcher::Url { key },
        };
        self.push_rule(request, text, &location.host, matcher);
        Ok(())
    }

    fn warn(&mut self, kind: TaskKind, line: usize, location: &Location, key: &Key) {
        if self.warnings.len() == WARNINGS_MAX {
            return;
        }
        let host = &location.host;
        let written = location.path_and_query.split_once('?').map(|(_, query)| query);
        if kind == TaskKind::Directory && key.path() == "/" {
            self.warnings.push(format!("line {line}: this is all of {host}"));
        } else if kind == TaskKind::Url && written.is_some() && key.query().is_none() {
            let path = key.path();
            self.warnings
                .push(format!("line {line}: {host} ignores this query, {path} is purged for any such"));
        }
    }

    /// A tag, in each of the domains it is purged in.
    fn tag(&mut self, request: &SubmitRequest, text: &str, tagged: &Tagged) -> Result<(), LineFault> {
        let tag = tag::parse(text)?;
        let line = |domain: &String| Line { url: tag.to_owned(), domain: domain.clone() };
        self.lines.extend(tagged.domains.iter().map(line));
        let mode = request.mode();
        let rule =
            |space: &String| Rule::new(Matcher::Tag { space: space.clone(), tag: tag.to_owned() }, mode);
        self.rules.extend(tagged.spaces.iter().map(rule));
        Ok(())
    }

    fn push_rule(&mut self, request: &SubmitRequest, text: &str, host: &str, matcher: Matcher) {
        self.lines.push(Line { url: text.to_owned(), domain: host.to_owned() });
        self.rules.push(Rule::new(matcher, request.mode()));
    }

    /// What the ledger is to keep, submitted at that time and counted on that quota day.
    pub(crate) fn submission(
        self,
        account: &str,
        request: &SubmitRequest,
        domains: &[DomainRecord],
        (at_ms, day): (i64, i64),
    ) -> Submission {
        let within = self.within(domains);
        Submission {
            account: account.to_owned(),
            kind: request.kind,
            mode: request.kind.is_purge().then(|| request.mode()),
            area: request.area,
            read: self.settings_read(domains),
            lines: self.lines,
            rules: self.rules,
            follow: request.follow.as_ref().map(|follow| Follow { domains: within, ..follow.clone() }),
            items: self.items,
            at_ms,
            day,
            not_before_ms: None,
            cut: false,
            terms: PrefetchTerms::default(),
            once: None,
            notify: None,
            part: None,
            refill: None,
            then: None,
            holds: Holds::default(),
        }
    }

    /// The domains within which playlists are followed: those of the lines, and the account's others.
    fn within(&self, domains: &[DomainRecord]) -> BTreeSet<String> {
        let of_lines: BTreeSet<&String> = self.lines.iter().map(|line| &line.domain).collect();
        let others = domains.iter().filter(|domain| !domain.settings.stopped).map(|domain| &domain.name);
        let others = others.filter(|name| !of_lines.contains(name));
        of_lines.iter().copied().chain(others).take(DOMAINS_MAX).cloned().collect()
    }

    /// The settings that the rules were made with: those of the domains named.
    pub(crate) fn settings_read(&self, domains: &[DomainRecord]) -> BTreeMap<String, Seq> {
        let named: BTreeSet<&str> = self.lines.iter().map(|line| line.domain.as_str()).collect();
        let read = domains.iter().filter(|domain| named.contains(domain.name.as_str()));
        read.map(|domain| (domain.name.clone(), domain.seq)).collect()
    }
}

/// Where tags are purged: in the domains named, or in all of the account.
#[derive(Default)]
struct Tagged {
    domains: BTreeSet<String>,
    spaces: BTreeSet<String>,
}

impl Tagged {
    fn of(
        request: &SubmitRequest,
        records: &[DomainRecord],
        domains: &Domains<'_>,
    ) -> Result<Tagged, SubmitError> {
        match request.kind {
            TaskKind::Tag => {}
            _ if request.domains.is_empty() => return Ok(Tagged::default()),
            _ => return Err(SubmitError::DomainsOfLines),
        }
        let mut tagged = Tagged::default();
        let mut add = |domain: &DomainRecord| {
            tagged.spaces.insert(domain.settings.space(&domain.name).to_owned());
            tagged.domains.insert(domain.name.clone());
        };
        if request.domains.is_empty() {
            records.iter().for_each(add);
        } else {
            for name in &request.domains {
                let domain = domains.get(name.to_ascii_lowercase().as_str());
                add(domain
                    .ok_or_else(|| SubmitError::ForeignDomain(name.chars().take(BAD_TEXT_MAX).collect()))?);
            }
        }
        let (lines, lines_max) =
            (request.lines.len() * tagged.domains.len(), request.kind.quota().lines_max());
        match lines {
            0 => Err(SubmitError::NoDomains),
            _ if lines > lines_max => {
                Err(SubmitError::TooManyLines { kind: request.kind.quota(), lines, lines_max })
            }
            _ => Ok(tagged),
        }
    }
}
