//! The media library.

use crate::Home;
use crate::fixture::site;
use freshen_ledger::{Error, Refusal};
use freshen_model::media::{Format, STREAMS_OF_MEDIA_MAX, Stream, StreamType};

fn stream(media: &str, path: &str, definition: &str) -> Stream {
    Stream {
        media: media.into(),
        url: format!("http://a.example/{path}"),
        format: Format::Mp4,
        definition: definition.into(),
        kind: StreamType::Video,
        duration_s: Some(1.5),
    }
}

pub async fn streams_come_and_go(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.add_account("other", false).await.unwrap();
    let (low, high) = (stream("m1", "low.mp4", "LD"), stream("m1", "high.mp4", "HD"));
    let second = stream("m2", "x.mp4", "SD");
    ledger.add_streams("acme", vec![low.clone(), high.clone(), second.clone()]).await.unwrap();
    ledger.add_streams("other", vec![stream("m1", "theirs.mp4", "LD")]).await.unwrap();
    let page = ledger.streams("acme", Some("m1"), None, 10).await.unwrap();
    assert_eq!((page.rows, page.next), (vec![high.clone(), low.clone()], None));
    // An address that is there is replaced, and is the newest then.
    let better = Stream { definition: "SD".into(), ..low };
    ledger.add_streams("acme", vec![better.clone()]).await.unwrap();
    drop(ledger);

    let ledger = home.open().await;
    let page = ledger.streams("acme", None, None, 10).await.unwrap();
    assert_eq!((page.rows, page.next), (vec![better.clone(), high.clone(), second.clone()], None));
    let (mut paged, mut place) = (Vec::new(), None);
    loop {
        let page = ledger.streams("acme", None, place, 1).await.unwrap();
        paged.extend(page.rows);
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    assert_eq!(paged, [better, high, second]);
    ledger.remove_media("acme", "m1").await.unwrap();
    assert_eq!(ledger.streams("acme", None, None, 10).await.unwrap().rows.len(), 1);
    assert_eq!(ledger.streams("other", None, None, 10).await.unwrap().rows.len(), 1);
    let again = ledger.remove_media("acme", "m1").await;
    assert!(matches!(again, Err(Error::Refused(Refusal::NotFound { .. }))), "{again:?}");
    let nobody = ledger.add_streams("nobody", vec![]).await;
    assert!(matches!(nobody, Err(Error::Refused(Refusal::NotFound { .. }))), "{nobody:?}");
}

pub async fn too_many_are_refused_whole(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let streams = (0..=STREAMS_OF_MEDIA_MAX).map(|number| stream("m", &number.to_string(), "LD"));
    let added = ledger.add_streams("acme", streams.collect()).await;
    assert!(matches!(added, Err(Error::Refused(Refusal::Unfit(_)))), "{added:?}");
    assert_eq!(ledger.streams("acme", None, None, 1).await.unwrap().rows, []);
}
