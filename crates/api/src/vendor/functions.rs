//! What can be configured of a domain, in the vendor's words: named functions with named arguments.

use freshen_model::domain::{QueryPolicy, Ranges, Settings, TtlMode, TtlRule, When};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::domains::Number;
use super::{ErrorKind, Params, VendorError};

/// Functions that one call may name, and that it may ask for.
const FUNCTIONS_MAX: usize = 100;
/// Names in one list of an argument.
const NAMES_MAX: usize = 100;
/// What the vendor's weights may be; a rule that says none has the least.
const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=199;

const FILETYPE_TTL: &str = "filetype_based_ttl_set";
const PATH_TTL: &str = "path_based_ttl_set";
const HASHKEY_ARGS: &str = "set_hashkey_args";
const REMOVE_ARGS: &str = "ali_remove_args";
const ORIGIN_HOST: &str = "set_req_host_header";
const ORIGIN_TIMEOUT: &str = "forward_timeout";
const RANGE: &str = "range";

/// One function, and what it is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    set: Set,
    /// Which configuration of before it takes the place of.
    config_id: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Set {
    Ttl(Vec<TtlRule>),
    Query(QueryPolicy),
    OriginHost(String),
    OriginTimeout { ms: u32 },
    Ranges(Ranges),
}

/// One function as it is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    function_name: String,
    #[serde(default)]
    function_args: Vec<SentArg>,
    #[serde(default)]
    config_id: Option<Number>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentArg {
    arg_name: String,
    arg_value: String,
}

/// The arguments of one function; each is to be read, so that none is passed over in silence.
struct Args {
    function: String,
    left: Vec<SentArg>,
}

impl Args {
    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.left.iter().position(|arg| arg.arg_name == name)?;
        Some(self.left.swap_remove(place).arg_value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn must(&mut self, name: &str) -> Result<String, VendorError> {
        self.take(name).ok_or_else(|| malformed(format!("{} needs {name}", self.function)))
    }

    fn on(&mut self, name: &str) -> Result<Option<bool>, VendorError> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("on") => Ok(Some(true)),
            Some("off") => Ok(Some(false)),
            Some(_) => Err(self.bad(name, "expected on or off")),
        }
    }

    fn number(&mut self, name: &str, text: &str) -> Result<u32, VendorError> {
        let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        number.ok_or_else(|| self.bad(name, "expected a number"))
    }

    fn bad(&self, name: &str, why: &str) -> VendorError {
        malformed(format!("{name} of {}: {why}", self.function))
    }

    /// What was not asked for is not offered; what would change nothing is passed over.
    fn end(self) -> Result<(), VendorError> {
        let without_effect =
            |arg: &SentArg| arg.arg_name == "keep_oss_args" || matches!(arg.arg_value.as_str(), "" | "off");
        match self.left.iter().find(|arg| !without_effect(arg)) {
            None => Ok(()),
            Some(arg) => Err(not_supported(format!("{} of {}", arg.arg_name, self.function))),
        }
    }
}

impl Function {
    /// The functions of `Functions`, at least one.
    pub(super) fn parse(params: &Params) -> Result<Vec<Function>, VendorError> {
        let text = params.text("Functions").ok_or(ErrorKind::MissingParameter("Functions"))?;
        let sent: Vec<Sent> = serde_json::from_str(text).map_err(|_| {
            let expected = r#"expected [{"functionName":"range","functionArgs":[{"argName":"enable","argValue":"on"}]}]"#;
            malformed(expected.into())
        })?;
        if sent.is_empty() || sent.len() > FUNCTIONS_MAX {
            return Err(malformed(format!("name 1 to {FUNCTIONS_MAX}")));
        }
        sent.into_iter().map(Function::of).collect()
    }

    fn of(sent: Sent) -> Result<Function, VendorError> {
        let config_id = match &sent.config_id {
            None => None,
            Some(id) => Some(id.value().ok_or_else(|| malformed("configId is no number".into()))?),
        };
        let mut args =
            Args { function: sent.function_name.chars().take(80).collect(), left: sent.function_args };
        let set = match sent.function_name.as_str() {
            FILETYPE_TTL => {
                let types = args.must("file_type")?;
                let suffix = |name: String| When::Suffix(format!(".{}", name.trim_start_matches('.')));
                Set::Ttl(ttl_rules(&mut args, names(&types)?.into_iter().map(suffix).collect())?)
            }
            PATH_TTL => {
                let path = args.must("path")?;
                Set::Ttl(ttl_rules(&mut args, vec![When::Path(path)])?)
            }
            HASHKEY_ARGS => {
                let kept = args.take("hashkey_args").map(|list| names(&list)).transpose()?;
                Set::Query(match (args.on("disable")?, kept) {
                    (Some(false), _) => QueryPolicy::Keep,
                    (_, Some(kept)) => QueryPolicy::Only(kept),
                    (Some(true), None) => QueryPolicy::Ignore,
                    (None, None) => {
                        return Err(malformed(format!("{HASHKEY_ARGS} needs hashkey_args or disable")));
                    }
                })
            }
            REMOVE_ARGS => Set::Query(QueryPolicy::Drop(names(&args.must("ali_remove_args")?)?)),
            ORIGIN_HOST => Set::OriginHost(args.must("domain_name")?.to_ascii_lowercase()),
            ORIGIN_TIMEOUT => {
                let seconds = args.must("forward_timeout")?;
                let seconds = args.number("forward_timeout", &seconds)?;
                Set::OriginTimeout { ms: seconds.saturating_mul(1_000) }
            }
            RANGE => Set::Ranges(match args.must("enable")?.as_str() {
                "on" | "force" => Ranges::Slices,
                "off" => Ranges::Whole,
                _ => return Err(args.bad("enable", "expected on, off or force")),
            }),
            _ => return Err(not_supported(args.function)),
        };
        args.end()?;
        Ok(Function { set, config_id })
    }

    /// Sets it; what of it cannot be is for control to say.
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<(), VendorError> {
        match &self.set {
            Set::Ttl(rules) => {
                if let Some(id) = self.config_id {
                    let before = settings.ttl.len();
                    settings.ttl.retain(|rule| config_id(&rule.when) != id);
                    if settings.ttl.len() == before {
                        return Err(malformed(format!("there is no configuration {id}")));
                    }
                }
                rules.iter().for_each(|rule| put(&mut settings.ttl, rule));
            }
            Set::Query(policy) => settings.query = policy.clone(),
            Set::OriginHost(host) => {
                settings.origins_mut().for_each(|origin| origin.host_header = Some(host.clone()));
            }
            Set::OriginTimeout { ms } => settings.origin_head_ms_max = Some(*ms),
            Set::Ranges(ranges) => settings.ranges = *ranges,
        }
        Ok(())
    }
}

fn ttl_rules(args: &mut Args, whens: Vec<When>) -> Result<Vec<TtlRule>, VendorError> {
    let ttl = args.must("ttl")?;
    let ttl_s = args.number("ttl", &ttl)?;
    let weight = match args.take("weight") {
        None => *WEIGHTS.start(),
        Some(text) => args.number("weight", &text)?,
    };
    let weight = u8::try_from(weight).ok().filter(|weight| WEIGHTS.contains(&u32::from(*weight)));
    let weight = weight.ok_or_else(|| args.bad("weight", "expected 1 to 199"))?;
    // Else the rule goes first, whatever the origin says.
    let mode = match args.on("swift_origin_cache_high")? {
        Some(true) => TtlMode::Default,
        _ => TtlMode::Override,
    };
    Ok(whens.into_iter().map(|when| TtlRule { when, ttl_s, mode, weight }).collect())
}

/// Puts a rule where its weight has it: behind those of the same weight, which were there first.
fn put(rules: &mut Vec<TtlRule>, rule: &TtlRule) {
    rules.retain(|known| known.when != rule.when);
    let place = rules.iter().position(|known| known.weight < rule.weight).unwrap_or(rules.len());
    rules.insert(place, rule.clone());
}

fn names(list: &str) -> Result<Vec<String>, VendorError> {
    let names: Vec<String> = list
        .split([',', ' '])
        .filter(|name| !name.is_empty())
        .take(NAMES_MAX + 1)
        .map(str::to_owned)
        .collect();
    match names.len() {
        1..=NAMES_MAX => Ok(names),
        _ => Err(malformed(format!("a list names 1 to {NAMES_MAX}"))),
    }
}

fn malformed(why: String) -> VendorError {
    ErrorKind::Malformed("Functions").because(why)
}

fn not_supported(what: String) -> VendorError {
    ErrorKind::ValueNotSupported("Functions").because(format!("{what} is not offered"))
}

// ---- what is configured ----

/// The level of nesting around the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DomainConfigs {
    domain_config: Vec<DomainConfig>,
}

/// One function as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DomainConfig {
    function_name: &'static str,
    config_id: String,
    status: &'static str,
    function_args: FunctionArgs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionArgs {
    function_arg: Vec<FunctionArg>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionArg {
    arg_name: &'static str,
    arg_value: String,
}

/// Which functions a caller asks for; all where none is named. One that is not offered is not configured.
pub(super) fn asked_for(params: &Params) -> Vec<String> {
    let names = params.text("FunctionNames").unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).take(FUNCTIONS_MAX).map(str::to_owned).collect()
}

/// What is configured of these functions.
pub(super) fn configured(settings: &Settings, asked_for: &[String]) -> DomainConfigs {
    let mut rows = Vec::new();
    let mut add = |name: &'static str, id: u64, args: Vec<(&'static str, String)>| {
        let args = args.into_iter().map(|(arg_name, arg_value)| FunctionArg { arg_name, arg_value });
        rows.push(DomainConfig {
            function_name: name,
            config_id: id.to_string(),
            status: "success",
            function_args: FunctionArgs { function_arg: args.collect() },
        });
    };
    for rule in &settings.ttl {
        let origin_first = if rule.mode == TtlMode::Default { "on" } else { "off" };
        let (function, matched) = match &rule.when {
            When::Suffix(suffix) => (FILETYPE_TTL, ("file_type", suffix.trim_start_matches('.').to_owned())),
            When::Path(path) => (PATH_TTL, ("path", path.clone())),
        };
        let args = vec![
            matched,
            ("ttl", rule.ttl_s.to_string()),
            ("weight", rule.weight.to_string()),
            ("swift_origin_cache_high", origin_first.to_owned()),
        ];
        add(function, config_id(&rule.when), args);
    }
    match &settings.query {
        QueryPolicy::Keep => {}
        QueryPolicy::Ignore => add(HASHKEY_ARGS, id_of(HASHKEY_ARGS), vec![("disable", "on".into())]),
        QueryPolicy::Only(names) => add(
            HASHKEY_ARGS,
            id_of(HASHKEY_ARGS),
            vec![("hashkey_args", names.join(",")), ("disable", "on".into())],
        ),
        QueryPolicy::Drop(names) => {
            add(REMOVE_ARGS, id_of(REMOVE_ARGS), vec![("ali_remove_args", names.join(","))]);
        }
    }
    if let Some(host) = &settings.origin.host_header {
        add(ORIGIN_HOST, id_of(ORIGIN_HOST), vec![("domain_name", host.clone())]);
    }
    if let Some(ms) = settings.origin_head_ms_max {
        add(ORIGIN_TIMEOUT, id_of(ORIGIN_TIMEOUT), vec![("forward_timeout", ms.div_ceil(1_000).to_string())]);
    }
    let range = if settings.ranges == Ranges::Slices { "on" } else { "off" };
    add(RANGE, id_of(RANGE), vec![("enable", range.to_owned())]);
    rows.retain(|row| asked_for.is_empty() || asked_for.iter().any(|name| name == row.function_name));
    DomainConfigs { domain_config: rows }
}

/// The number of a TTL rule, which is the same for as long as the rule is for the same paths.
fn config_id(when: &When) -> u64 {
    match when {
        When::Suffix(suffix) => id_of(suffix),
        When::Path(path) => id_of(path),
    }
}

/// Twelve decimal digits or less, so that every language reads it.
fn id_of(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)) % 1_000_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn settings() -> Settings {
        Settings::of_origin("http://origin.example".parse().unwrap())
    }

    fn function(name: &str, args: &[(&str, &str)]) -> Value {
        let args = args.iter().map(|(name, value)| json!({ "argName": name, "argValue": value }));
        json!({ "functionName": name, "functionArgs": args.collect::<Vec<_>>() })
    }

    fn parse(functions: &Value) -> Result<Vec<Function>, VendorError> {
        Function::parse(&Params::from([("Functions", functions.to_string().as_str())]))
    }

    fn applied(functions: &[Value]) -> Settings {
        let mut settings = settings();
        for function in parse(&json!(functions)).unwrap() {
            function.apply(&mut settings).unwrap();
        }
        settings
    }

    #[test]
    fn functions_become_settings_and_settings_functions() {
        let all = [
            function("filetype_based_ttl_set", &[("file_type", "jpg,.png"), ("ttl", "18"), ("weight", "30")]),
            function("path_based_ttl_set", &[("path", "/live/"), ("ttl", "5"), ("weight", "99")]),
            function(
                "path_based_ttl_set",
                &[("path", "/"), ("ttl", "60"), ("swift_origin_cache_high", "on"), ("weight", "1")],
            ),
            function(
                "set_hashkey_args",
                &[("hashkey_args", "a,b"), ("disable", "on"), ("keep_oss_args", "off")],
            ),
            function("set_req_host_header", &[("domain_name", "WWW.example.com")]),
            function("forward_timeout", &[("forward_timeout", "20")]),
            function("range", &[("enable", "off")]),
        ];
        let settings = applied(&all);
        let rules: Vec<String> = settings.ttl.iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["/live/=5!", ".jpg=18!", ".png=18!", "/=60"]);
        assert_eq!(settings.query, QueryPolicy::Only(vec!["a".into(), "b".into()]));
        assert_eq!(settings.origin.host_header.as_deref(), Some("www.example.com"));
        assert_eq!((settings.origin_head_ms_max, settings.ranges), (Some(20_000), Ranges::Whole));

        // What is told of them makes the same settings again.
        let told = serde_json::to_value(configured(&settings, &[])).unwrap();
        let rows = told["DomainConfig"].as_array().unwrap();
        let again = rows.iter().map(|row| {
            let args = row["FunctionArgs"]["FunctionArg"].as_array().unwrap().iter();
            let args = args.map(|arg| (arg["ArgName"].as_str().unwrap(), arg["ArgValue"].as_str().unwrap()));
            function(row["FunctionName"].as_str().unwrap(), &args.collect::<Vec<_>>())
        });
        assert_eq!(applied(&again.collect::<Vec<_>>()), settings);
        let some = configured(&settings, &["range".into(), "gzip".into()]);
        assert_eq!(some.domain_config.len(), 1);
    }

    #[test]
    fn a_rule_is_replaced_by_its_paths_or_its_number() {
        let first = function("path_based_ttl_set", &[("path", "/a/"), ("ttl", "5")]);
        let mut settings = applied(&[first.clone(), first]);
        assert_eq!(settings.ttl.len(), 1);
        let id = configured(&settings, &[]).domain_config[0].config_id.clone();
        let mut other = function("path_based_ttl_set", &[("path", "/b/"), ("ttl", "6")]);
        other["configId"] = json!(id.parse::<u64>().unwrap());
        let other = parse(&json!([other])).unwrap().remove(0);
        other.apply(&mut settings).unwrap();
        assert_eq!(settings.ttl.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/b/=6!"]);
        let gone = other.apply(&mut settings).unwrap_err();
        assert_eq!(gone.detail, Some(format!("there is no configuration {id}")));
    }

    #[test]
    fn what_is_not_offered_is_refused_and_not_passed_over() {
        for (functions, code, said) in [
            (
                json!([function("gzip", &[("enable", "on")])]),
                "InvalidFunctions.ValueNotSupported",
                "gzip is not",
            ),
            (
                json!([function(
                    "path_based_ttl_set",
                    &[("path", "/"), ("ttl", "1"), ("swift_no_cache_low", "on")]
                )]),
                "InvalidFunctions.ValueNotSupported",
                "swift_no_cache_low of path_based_ttl_set is not offered",
            ),
            (json!([function("range", &[])]), "InvalidFunctions.Malformed", "range needs enable"),
            (
                json!([function("path_based_ttl_set", &[("path", "/"), ("ttl", "-1")])]),
                "InvalidFunctions.Malformed",
                "ttl of path_based_ttl_set: expected a number",
            ),
            (
                json!([function("path_based_ttl_set", &[("path", "/"), ("ttl", "1"), ("weight", "200")])]),
                "InvalidFunctions.Malformed",
                "weight of path_based_ttl_set: expected 1 to 199",
            ),
            (json!([]), "InvalidFunctions.Malformed", "name 1 to 100"),
            (json!({}), "InvalidFunctions.Malformed", "expected [{"),
        ] {
            let error = parse(&functions).unwrap_err();
            assert_eq!(error.code(), code, "{functions}");
            assert!(error.detail.as_deref().is_some_and(|detail| detail.starts_with(said)), "{error}");
        }
    }
}
