//! What all pages have around them.

use freshen_model::rights::Right;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::assets;
use crate::person::Person;
use crate::sent::TOKEN;

/// htmx as this policy of ours wants it: nothing evaluated, no style of its own, no request elsewhere, no page kept.
const HTMX: &str = r#"{"allowEval":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"allowScriptTags":false,"historyCacheSize":0,"refreshOnHistoryMiss":true,"responseHandling":[{"code":"204","swap":false},{"code":"[23]..","swap":true},{"code":"4..","swap":true,"error":false},{"code":"5..","swap":false,"error":true}]}"#;

/// Where in the console a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Refresh,
    Check,
    Fleet,
    Domains,
    Library,
    Quotas,
    Accounts,
    Users,
    Trail,
    Me,
}

/// A place's path and name, and the right without which it is not shown.
type Entry = (Place, &'static str, &'static str, Right);

const PLACES: [(&str, &[Entry]); 3] = [
    (
        "Content",
        &[
            (Place::Overview, "/ui/", "Overview", Right::Read),
            (Place::Refresh, "/ui/refresh/purge", "Refresh and Prefetch", Right::Read),
            (Place::Check, "/ui/check", "Check", Right::Read),
        ],
    ),
    (
        "Installation",
        &[
            (Place::Fleet, "/ui/fleet", "Fleet", Right::Read),
            (Place::Domains, "/ui/domains", "Domains", Right::Read),
            (Place::Library, "/ui/library", "Media library", Right::Read),
            (Place::Quotas, "/ui/quotas", "Quotas", Right::Read),
        ],
    ),
    (
        "Administration",
        &[
            (Place::Accounts, "/ui/accounts", "Accounts and keys", Right::Admin),
            (Place::Users, "/ui/users", "Users", Right::Admin),
            (Place::Trail, "/ui/trail", "Audit trail", Right::Admin),
        ],
    ),
];

/// A page for somebody who is signed in.
pub(crate) fn page(person: &Person, place: Place, title: &str, body: &Markup) -> Markup {
    let navigation = html! {
        nav #places aria-label="Places" {
            @for (group, entries) in PLACES {
                @let shown: Vec<&Entry> = entries.iter().filter(|(.., right)| person.may(*right)).collect();
                @if !shown.is_empty() {
                    h2 { (group) }
                    ul {
                        @for (at, path, name, _) in shown {
                            li { a href=(path) aria-current=[(*at == place).then_some("page")] { (name) } }
                        }
                    }
                }
            }
        }
    };
    let who = html! {
        div .who {
            a href="/ui/me" aria-current=[(place == Place::Me).then_some("page")] {
                (person.user.name)
            }
            span .faint { (person.user.role.as_str()) " · " (person.user.account) }
            form method="post" action="/ui/sign-out" {
                (token(person))
                button .plain type="submit" { "Sign out" }
            }
        }
    };
    let around = html! {
        a .skip href="#main" { "To the content" }
        header .top { a .brand href="/ui/" { (mark()) "Freshen" } (who) }
        div .frame {
            (navigation)
            main #main tabindex="-1" { h1 { (title) } (body) }
        }
    };
    document(title, &around)
}

/// A page without a place: for somebody who is not signed in, or where there is no such page.
pub(crate) fn bare(title: &str, body: &Markup) -> Markup {
    let around = html! {
        header .top { a .brand href="/ui/" { (mark()) "Freshen" } }
        main .bare { h1 { (title) } (body) }
    };
    document(title, &around)
}

fn document(title: &str, around: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (title) " · Freshen" }
                link rel="icon" type="image/svg+xml" href=(assets::path("mark.svg"));
                @for sheet in ["freshen.css", "pages.css"] { link rel="stylesheet" href=(assets::path(sheet)); }
                @for script in ["htmx.js", "sse.js", "console.js"] {
                    script defer src=(assets::path(script)) {}
                }
            }
            body { (around) }
        }
    }
}

/// The mark beside the name: what is under the arc is fresh.
fn mark() -> PreEscaped<&'static str> {
    PreEscaped(
        r#"<svg class="mark" viewBox="0 0 20 20" aria-hidden="true" width="20" height="20"><path d="M10 2a8 8 0 1 0 8 8" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round"/><circle cx="10" cy="10" r="3.2" fill="currentColor"/></svg>"#,
    )
}

/// What every form of a session has in it.
pub(crate) fn token(person: &Person) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(person.token); }
}

/// A word to the person, which a screen reader reads out at once.
pub(crate) fn notice(kind: Notice, text: &str) -> Markup {
    html! { p .notice .(kind.class()) role=(kind.role()) { (sentence(text)) } }
}

/// Words as a sentence: errors are lower case without a stop, as logs and programs have them.
pub(crate) fn sentence(words: &str) -> String {
    let mut text = words.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !text.ends_with(['.', '?', '!']) {
        text.push('.');
    }
    text
}

/// What kind of word it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    Done,
    Warning,
    Refused,
}

impl Notice {
    fn class(self) -> &'static str {
        match self {
            Notice::Done => "good",
            Notice::Warning => "warn",
            Notice::Refused => "ill",
        }
    }

    fn role(self) -> &'static str {
        match self {
            Notice::Done | Notice::Warning => "status",
            Notice::Refused => "alert",
        }
    }
}

/// A secret that is shown this once.
pub(crate) fn secret(what: &str, rows: &[(&str, &str)]) -> Markup {
    html! {
        section .once role="status" {
            h2 { (what) }
            p { "Keep it now: it is shown this once." }
            dl { @for (name, value) in rows { dt { (name) } dd { code { (value) } } } }
        }
    }
}
