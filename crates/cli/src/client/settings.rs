//! A domain's settings on the command line.

use super::connection::ClientError;
use freshen_model::domain::{NoLease, Origin, QueryPolicy, Ranges, Settings, TtlRule};
use std::str::FromStr;

/// A domain's settings, as far as they are given.
#[derive(clap::Args)]
pub struct SettingsOptions {
    /// Where the content comes from, `http://host[:port]` or `https://host[:port]`.
    #[arg(long)]
    origin: Option<Origin>,
    /// The Host field sent to the origin [default: the domain].
    #[arg(long)]
    host_header: Option<OrNone<String>>,
    /// Share the cache (and origin and query policy) of this domain.
    #[arg(long, value_name = "DOMAIN")]
    share_cache: Option<OrNone<String>>,
    /// What of a query tells objects apart: keep, ignore, only:a,b or drop:a,b.
    #[arg(long)]
    query: Option<QueryPolicy>,
    /// What a POP without a lease does: revalidate, refetch or serve.
    #[arg(long)]
    no_lease: Option<NoLease>,
    /// Serve copies that a purge expired while the origin fails.
    #[arg(long)]
    purged_stale_if_error: Option<bool>,
    /// Seconds of freshness for answers that say nothing about it.
    #[arg(long, value_name = "SECONDS")]
    default_ttl_s: Option<OrNone<u32>>,
    /// Seconds of freshness for answers that there is nothing, where they say nothing about it.
    #[arg(long, value_name = "SECONDS")]
    negative_ttl_s: Option<OrNone<u32>>,
    /// Freshness by path: `/path=SECONDS` or `.suffix=SECONDS` for answers that say nothing about it, with `!` behind it
    /// whatever they say. Several in their order, of which the first that matches counts; they replace those of before.
    #[arg(long, value_name = "RULE")]
    ttl: Vec<OrNone<TtlRule>>,
    /// How parts of large objects are asked for: slices, or whole for origins whose ranges lie.
    #[arg(long)]
    ranges: Option<Ranges>,
}

/// A setting's new value; `none` takes it back.
#[derive(Clone, Debug, PartialEq)]
struct OrNone<T>(Option<T>);

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<OrNone<T>, T::Err> {
        if text == "none" { Ok(OrNone(None)) } else { text.parse().map(|value| OrNone(Some(value))) }
    }
}

/// Gives a setting its new value, where there is one.
fn change<T>(setting: &mut Option<T>, given: Option<OrNone<T>>) {
    if let Some(OrNone(value)) = given {
        *setting = value;
    }
}

/// What several options of one name come to: nothing given, `none` alone, or values.
fn list<T>(option: &str, given: Vec<OrNone<T>>) -> Result<Option<Vec<T>>, ClientError> {
    let count = given.len();
    let values: Vec<T> = given.into_iter().filter_map(|OrNone(value)| value).collect();
    match (count, values.len()) {
        (0, _) => Ok(None),
        (1, _) => Ok(Some(values)),
        (count, kept) if count == kept => Ok(Some(values)),
        _ => Err(ClientError::Usage(format!("{option} none stands alone"))),
    }
}

impl SettingsOptions {
    /// The origin, if one is given.
    pub fn origin(&self) -> Option<Origin> {
        self.origin.clone()
    }

    /// The domain whose cache is to be shared, if one is given.
    pub fn shared(&self) -> Option<String> {
        self.share_cache.clone().and_then(|OrNone(domain)| domain)
    }

    /// `settings` with what is given in place of what is there.
    pub fn over(self, mut settings: Settings) -> Result<Settings, ClientError> {
        if let Some(origin) = self.origin {
            settings.origin = Origin { host_header: settings.origin.host_header, ..origin };
        }
        change(&mut settings.origin.host_header, self.host_header);
        change(&mut settings.share_cache, self.share_cache);
        settings.query = self.query.unwrap_or(settings.query);
        settings.no_lease = self.no_lease.unwrap_or(settings.no_lease);
        settings.purged_stale_if_error = self.purged_stale_if_error.unwrap_or(settings.purged_stale_if_error);
        change(&mut settings.default_ttl_s, self.default_ttl_s);
        change(&mut settings.negative_ttl_s, self.negative_ttl_s);
        settings.ttl = list("--ttl", self.ttl)?.unwrap_or(settings.ttl);
        settings.ranges = self.ranges.unwrap_or(settings.ranges);
        Ok(settings)
    }
}

/// Settings for people: the options' names, and what they are.
pub fn settings_rows(settings: &Settings) -> Vec<(&'static str, String)> {
    let seconds =
        |setting: Option<u32>, none: &str| setting.map_or(none.to_owned(), |value| value.to_string());
    let text = |setting: &Option<String>, none: &str| setting.clone().unwrap_or(none.to_owned());
    let mut rows = vec![
        ("origin", settings.origin.to_string()),
        ("host-header", text(&settings.origin.host_header, "the domain")),
        ("share-cache", text(&settings.share_cache, "its own")),
        ("query", settings.query.to_string()),
        ("no-lease", settings.no_lease.to_string()),
        ("purged-stale-if-error", settings.purged_stale_if_error.to_string()),
        ("default-ttl-s", seconds(settings.default_ttl_s, "guessed")),
        ("negative-ttl-s", seconds(settings.negative_ttl_s, "as other answers")),
        ("ranges", settings.ranges.to_string()),
    ];
    rows.extend(settings.ttl.iter().map(|rule| ("ttl", rule.to_string())));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: SettingsOptions,
    }

    fn given(line: &str) -> Result<Settings, String> {
        let words = std::iter::once("set").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let before = Settings {
            default_ttl_s: Some(5),
            ttl: vec!["/old/=1".parse().unwrap()],
            ..Settings::of_origin("http://a".parse().unwrap())
        };
        line.settings.over(before).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_given_replaces_and_none_takes_back() {
        let same = given("").unwrap();
        assert_eq!((same.default_ttl_s, same.ttl.len()), (Some(5), 1));
        let set = given("--ttl /live/=2 --ttl .m3u8=2! --default-ttl-s none --ranges whole").unwrap();
        let rules: Vec<String> = set.ttl.iter().map(|rule| rule.to_string()).collect();
        assert_eq!(rules, ["/live/=2", ".m3u8=2!"]);
        assert_eq!((set.default_ttl_s, set.ranges), (None, Ranges::Whole));
        assert_eq!(given("--ttl none").unwrap().ttl, []);
        assert!(given("--ttl none --ttl /a=1").unwrap_err().contains("--ttl none stands alone"));
        assert!(given("--ttl live=1").unwrap_err().contains("begins with /, or a suffix"));
        assert!(given("--ranges some").unwrap_err().contains("write slices or whole"));
    }
}
