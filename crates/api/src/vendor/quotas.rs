//! The day's quotas in the vendor's terms.

use freshen_control::Control;
use freshen_model::quota::{Quota, QuotaKind};

use super::{Action, CdnQuota, CdnUserQuota, Reply, VendorError, VodQuota, refusals};

/// The quotas of `account` as the action tells them. What is not offered has a quota of 0.
pub(super) async fn of(control: &Control, account: &str, action: Action) -> Result<Reply, VendorError> {
    let quotas = control.quota(account).await.map_err(refusals::of_ledger)?;
    let (url_quota, url_remain) = of_kind(&quotas, QuotaKind::Url);
    let (dir_quota, dir_remain) = of_kind(&quotas, QuotaKind::Directory);
    let (preload_quota, preload_remain) = of_kind(&quotas, QuotaKind::Prefetch);
    let (regex_quota, regex_remain) = of_kind(&quotas, QuotaKind::Regex);
    let (ignore_params_quota, ignore_params_remain) = of_kind(&quotas, QuotaKind::Query);
    Ok(match action {
        Action::DescribeCdnUserQuota => Reply::CdnUserQuota(CdnUserQuota {
            refresh_url_quota: url_quota,
            refresh_url_remain: url_remain,
            refresh_dir_quota: dir_quota,
            refresh_dir_remain: dir_remain,
            preload_quota,
            preload_remain,
            ignore_params_quota,
            ignore_params_remain,
            domain_quota: freshen_control::DOMAINS_OF_ACCOUNT_MAX,
            ..CdnUserQuota::default()
        }),
        Action::DescribeRefreshQuota => Reply::CdnQuota(CdnQuota {
            url_quota,
            url_remain,
            dir_quota,
            dir_remain,
            preload_quota,
            preload_remain,
            regex_quota,
            regex_remain,
            ignore_params_quota,
            ignore_params_remain,
            ..CdnQuota::default()
        }),
        _ => Reply::VodQuota(VodQuota {
            url_quota,
            url_remain,
            dir_quota,
            dir_remain,
            preload_quota,
            preload_remain,
            block_quota: 0,
            block_remain: 0,
        }),
    })
}

/// Limit and rest of one kind.
fn of_kind(quotas: &[Quota], kind: QuotaKind) -> (u64, u64) {
    let quota = quotas.iter().find(|quota| quota.kind == kind);
    quota.map(|quota| (quota.limit, quota.remaining())).unwrap_or_default()
}
