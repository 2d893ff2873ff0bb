//! The actions that are spoken, and which one a request names.

use freshen_model::rights::Right;

use super::{ErrorKind, Params, VendorError};
use crate::signature::Request;

/// A product of the vendor's, told apart by the version of its API alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Product {
    /// ApsaraVideo VOD, 2017-03-21.
    #[default]
    Vod,
    /// Alibaba Cloud CDN, 2018-05-10.
    Cdn,
}

impl Product {
    /// The version of its API.
    pub fn version(self) -> &'static str {
        match self {
            Product::Vod => "2017-03-21",
            Product::Cdn => "2018-05-10",
        }
    }
}

/// The table of actions, each named as on the wire, by product.
macro_rules! actions {
    ($($product:ident { $($(#[$doc:meta])* $name:ident,)* })*) => {
        /// An action of the vendor's API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $($($(#[$doc])* $name,)*)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Action] = &[$($(Action::$name,)*)*];

            /// Its name on the wire.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Action::$name => stringify!($name),)*)*
                }
            }

            /// The product that has it.
            pub fn product(self) -> Product {
                match self {
                    $($(Action::$name)|* => Product::$product,)*
                }
            }
        }
    };
}

actions! {
    Vod {
        /// Submits a purge.
        RefreshVodObjectCaches,
        /// Submits a prefetch.
        PreloadVodObjectCaches,
        /// Lists tasks.
        DescribeVodRefreshTasks,
        /// Tells the day's quotas and what remains of them.
        DescribeVodRefreshQuota,
        /// Submits purges or prefetches of all that plays some media.
        RefreshMediaPlayUrls,
        /// Tells what was submitted for such media.
        GetMediaRefreshJobs,
        /// Adds a domain.
        AddVodDomain,
        /// Changes a domain's origins.
        UpdateVodDomain,
        /// Removes a domain.
        DeleteVodDomain,
        /// Starts domains that were stopped.
        BatchStartVodDomain,
        /// Stops domains.
        BatchStopVodDomain,
        /// Configures functions of domains.
        BatchSetVodDomainConfigs,
        /// Tells how a domain's functions are configured.
        DescribeVodDomainConfigs,
        /// Sets a domain's certificate; refused, since POPs have theirs as files.
        SetVodDomainSSLCertificate,
        /// Tells the bytes that viewers got.
        DescribeVodDomainTrafficData,
        /// Tells the share of them that came from copies.
        DescribeVodDomainHitRateData,
        /// Tells the bytes that came from origins.
        DescribeVodDomainSrcTrafficData,
        /// Tells the bits a second that came from origins.
        DescribeVodDomainSrcBpsData,
        /// Lists domains.
        DescribeVodUserDomains,
        /// Tells of one domain.
        DescribeVodDomainDetail,
    }
    Cdn {
        /// Submits a purge.
        RefreshObjectCaches,
        /// Submits a prefetch.
        PushObjectCache,
        /// Lists tasks.
        DescribeRefreshTasks,
        /// Lists some tasks by their ids.
        DescribeRefreshTaskById,
        /// Submits a purge of what has a tag.
        RefreshObjectCacheByCacheTag,
        /// Tells the day's quotas and what remains of them.
        DescribeRefreshQuota,
        /// Tells how far each URL of a prefetch is.
        DescribePreloadDetailById,
        /// Tells the quotas as numbers, with that of domains.
        DescribeCdnUserQuota,
    }
}

impl Action {
    /// What a key must have the right to do; for some of its calls it must have more.
    pub fn right(self) -> Right {
        match self {
            Action::RefreshVodObjectCaches
            | Action::RefreshObjectCaches
            | Action::RefreshObjectCacheByCacheTag => Right::Purge,
            Action::PreloadVodObjectCaches | Action::PushObjectCache => Right::Prefetch,
            Action::DescribeVodRefreshTasks
            | Action::DescribeVodRefreshQuota
            | Action::DescribeRefreshTasks
            | Action::DescribeRefreshTaskById
            | Action::DescribeRefreshQuota
            | Action::DescribePreloadDetailById
            | Action::DescribeCdnUserQuota
            | Action::RefreshMediaPlayUrls
            | Action::GetMediaRefreshJobs
            | Action::DescribeVodUserDomains
            | Action::DescribeVodDomainDetail
            | Action::DescribeVodDomainConfigs
            | Action::DescribeVodDomainTrafficData
            | Action::DescribeVodDomainHitRateData
            | Action::DescribeVodDomainSrcTrafficData
            | Action::DescribeVodDomainSrcBpsData => Right::Read,
            Action::AddVodDomain
            | Action::UpdateVodDomain
            | Action::DeleteVodDomain
            | Action::BatchStartVodDomain
            | Action::BatchStopVodDomain
            | Action::BatchSetVodDomainConfigs
            | Action::SetVodDomainSSLCertificate => Right::Admin,
        }
    }

    /// The action a request names, by header or parameter.
    ///
    /// HMAC-SHA1 signs no headers, so there the parameters alone decide; ACS3 signs both, and its header goes first.
    pub fn of(request: &Request<'_>, params: &Params) -> Result<Action, VendorError> {
        if request.path != "/" {
            return Err(ErrorKind::ApiNotFound.into());
        }
        if !matches!(request.method, "GET" | "POST") {
            return Err(ErrorKind::UnsupportedHttpMethod.into());
        }
        let headers_count = !params.is_hmac_sha1(request.headers);
        let header = |name| request.headers.get(name).filter(|_| headers_count)?.to_str().ok();
        let name = header("x-acs-action").or(params.text("Action")).ok_or(ErrorKind::Missing("Action"))?;
        let version =
            header("x-acs-version").or(params.text("Version")).ok_or(ErrorKind::Missing("Version"))?;
        let action = Action::ALL.iter().copied().find(|action| action.name() == name);
        let action = action.ok_or(ErrorKind::ActionNotFound)?;
        if action.product().version() != version {
            return Err(ErrorKind::InvalidVersion.into());
        }
        Ok(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn action(headers: &[(&'static str, &str)], method: &str, target: &str) -> Result<Action, String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), value.parse().expect("a header value"))
            })
            .collect();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request { method, path, query, headers: &headers, body: b"" };
        Action::of(&request, &Params::of(&request).expect("parameters"))
            .map_err(|error| error.code().into_owned())
    }

    #[test]
    fn parameters_name_it() {
        for known in Action::ALL.iter().copied() {
            let target = format!("/?Action={}&Version={}", known.name(), known.product().version());
            assert_eq!(action(&[], "GET", &target), Ok(known));
            assert_eq!(action(&[], "POST", &target), Ok(known));
        }
    }

    #[test]
    fn headers_name_it_under_acs3_only() {
        let headers = [("x-acs-action", "DescribeVodRefreshQuota"), ("x-acs-version", "2017-03-21")];
        let quota = Ok(Action::DescribeVodRefreshQuota);
        assert_eq!(action(&headers, "POST", "/"), quota);
        assert_eq!(action(&headers, "POST", "/?Action=RefreshVodObjectCaches"), quota);
        assert_eq!(
            action(&headers, "POST", "/?Action=DescribeVodRefreshTasks&Version=2017-03-21&Signature=a"),
            Ok(Action::DescribeVodRefreshTasks)
        );
        assert_eq!(action(&headers, "POST", "/?Signature=a"), Err("MissingAction".into()));
    }

    #[test]
    fn what_is_not_known_says_which_part() {
        for (method, target, code) in [
            ("GET", "/", "MissingAction"),
            ("GET", "/?Action=DescribeVodRefreshQuota", "MissingVersion"),
            ("GET", "/?Action=DescribeVodRefreshQuota&Version=2018-05-10", "InvalidVersion"),
            ("GET", "/?Action=DescribeRefreshQuota&Version=2017-03-21", "InvalidVersion"),
            ("GET", "/?Action=describeVodRefreshQuota&Version=2017-03-21", "InvalidAction.NotFound"),
            ("GET", "/x?Action=DescribeVodRefreshQuota&Version=2017-03-21", "InvalidApi.NotFound"),
            ("PUT", "/?Action=DescribeVodRefreshQuota&Version=2017-03-21", "UnsupportedHTTPMethod"),
        ] {
            assert_eq!(action(&[], method, target), Err(code.into()), "{method} {target}");
        }
    }
}
