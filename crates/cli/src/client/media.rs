//! `freshen media`: the library of what plays where.

use super::connection::{ClientError, Connection, encode};
use super::manage::tell;
use super::outcome::Outcome;
use clap::Subcommand;
use freshen_api::v1::wire::{StreamList, StreamsRequest};
use freshen_model::media::{Format, STREAMS_MAX, Stream, StreamType};
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A longer file is refused; a line of it has about a hundred bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The media library.
#[derive(Subcommand)]
pub enum MediaCommand {
    /// Add an address at which a medium plays, or change what is known of it.
    Add {
        /// The id of the medium.
        media: String,
        /// The address.
        url: String,
        /// mp4, m3u8, mpd, mp3, flv, webm or ts.
        #[arg(long, value_parser = word::<Format>)]
        format: Format,
        /// LD, SD, HD, 4K, AUTO or another word.
        #[arg(long)]
        definition: String,
        /// video or audio.
        #[arg(long = "type", value_parser = word::<StreamType>, default_value = "video")]
        kind: StreamType,
        /// How long it plays.
        #[arg(long, value_name = "SECONDS")]
        duration: Option<f64>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List streams: of a medium, or the first of all.
    List {
        /// The id of a medium.
        media: Option<String>,
        /// How many to show at most.
        #[arg(long, default_value_t = 100, value_parser = super::rows)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Remove a medium with all its streams.
    Remove {
        /// The id of the medium.
        media: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Add what a file lists: CSV with the columns media, url, format, definition, and, where wanted, type and duration_s; or
    /// a JSON array of objects with these fields.
    Import {
        /// The file, ending with .csv or .json.
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
}

impl MediaCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            MediaCommand::Add { media, url, format, definition, kind, duration, connection } => {
                let stream = Stream { media, url, format, definition, kind, duration_s: duration };
                let request = StreamsRequest { streams: vec![stream.clone()] };
                let () = connection.open()?.call(Method::POST, "/v1/media", Some(&request)).await?;
                tell(&connection, &stream, || format!("{} plays at {}", stream.media, stream.url))
            }
            MediaCommand::List { media, limit, connection } => {
                let media = media.map(|id| format!("media={}&", encode(&id))).unwrap_or_default();
                let open = |list: StreamList| (list.streams, list.next);
                let path = format!("/v1/media?{media}");
                let (streams, more) = connection.open()?.list(&path, limit, open).await?;
                let list = StreamList { streams, next: None };
                tell(&connection, &list, || {
                    let shown = list.streams.iter().map(row);
                    let rest = more.then(|| "… and more; --limit shows them".to_owned());
                    shown.chain(rest).collect::<Vec<_>>().join("\n")
                })
            }
            MediaCommand::Remove { media, connection } => {
                let path = format!("/v1/media/{}", encode(&media));
                let () = connection.open()?.call(Method::DELETE, &path, None::<&()>).await?;
                let removed = json!({ "media": media, "removed": true });
                tell(&connection, &removed, || format!("{media} is in the library no more"))
            }
            MediaCommand::Import { file, connection } => {
                let control = connection.open()?;
                let streams = read(&file)?;
                let mut done = 0;
                for some in streams.chunks(STREAMS_MAX) {
                    let request = StreamsRequest { streams: some.to_vec() };
                    let sent: Result<(), ClientError> =
                        control.call(Method::POST, "/v1/media", Some(&request)).await;
                    if sent.is_err() && done > 0 {
                        eprintln!("the first {done} entries of {} are imported", file.display());
                    }
                    sent?;
                    done += some.len();
                }
                tell(&connection, &json!({ "imported": done }), || format!("{done} streams imported"))
            }
        }
    }
}

/// A word of the wire, as an argument.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(json!(text)).map_err(|error| error.to_string())
}

fn row(stream: &Stream) -> String {
    let kind = match stream.kind {
        StreamType::Video => "video",
        StreamType::Audio => "audio",
    };
    let format = serde_json::to_value(stream.format).ok();
    let format = format.as_ref().and_then(|format| format.as_str()).unwrap_or_default();
    let duration = stream.duration_s.map(|seconds| format!("  {seconds} s")).unwrap_or_default();
    format!("{:<32} {:<5} {format:<5} {kind}  {}{duration}", stream.media, stream.definition, stream.url)
}

/// Reads a file and checks every entry, before anything is sent; an error names the line.
fn read(file: &Path) -> Result<Vec<Stream>, ClientError> {
    let shown = file.display();
    let unreadable = |error: std::io::Error| ClientError::Usage(format!("cannot read {shown}: {error}"));
    if std::fs::metadata(file).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(ClientError::Usage(format!("{shown} is longer than 256 MiB, import it in parts")));
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let streams = match file.extension().and_then(|end| end.to_str()) {
        Some("csv") => of_csv(&text),
        Some("json") => of_json(&text),
        _ => Err("the name of the file ends neither with .csv nor with .json".into()),
    };
    let streams = streams.map_err(|why| ClientError::Usage(format!("{shown}: {why}")))?;
    match streams.is_empty() {
        true => Err(ClientError::Usage(format!("{shown}: no streams in it"))),
        false => Ok(streams),
    }
}

fn of_csv(text: &str) -> Result<Vec<Stream>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut streams = Vec::new();
    let mut record = csv::StringRecord::new();
    // The error of the reader names the line itself.
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        let bad = |why: String| format!("line {line}: {why}");
        let stream: Stream = record.deserialize(Some(&headers)).map_err(|error| bad(error.to_string()))?;
        stream.check().map_err(|why| bad(why.to_string()))?;
        streams.push(stream);
    }
    Ok(streams)
}

fn of_json(text: &str) -> Result<Vec<Stream>, String> {
    // The error of the reader names the line itself.
    let streams: Vec<Stream> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for (stream, entry) in streams.iter().zip(1..) {
        stream.check().map_err(|why| format!("entry {entry}: {why}"))?;
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_json_say_the_same() {
        let csv = "media,url,format,definition,type,duration_s\nm1,http://a.example/v.m3u8,m3u8,HD,video,12.5\n\
                   m1, http://a.example/a.mp3 ,mp3,SQ,audio,\n";
        let json = r#"[{"media":"m1","url":"http://a.example/v.m3u8","format":"m3u8","definition":"HD","duration_s":12.5},
                       {"media":"m1","url":"http://a.example/a.mp3","format":"mp3","definition":"SQ","type":"audio"}]"#;
        assert_eq!(of_csv(csv).unwrap(), of_json(json).unwrap());
        assert_eq!(
            of_csv("url,media,definition,format\nhttp://a.example/x,m,HD,ts\n").unwrap()[0].format,
            Format::Ts
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        let head = "media,url,format,definition\nm,http://a.example/1,mp4,HD\n";
        for (line, why) in [
            ("m,http://a.example/2,avi,HD\n", "unknown variant `avi`"),
            ("m,a.example/2,mp4,HD\n", "url: no scheme, write http:// or https:// before it"),
            ("m,http://a.example/2,mp4\n", "record"),
            ("m m,http://a.example/2,mp4,HD\n", "an id has 1 to 64 letters"),
        ] {
            let error = of_csv(&format!("{head}{line}")).unwrap_err();
            assert!(error.contains("line 3") || error.contains("line: 3"), "{error}");
            assert!(error.contains(why), "{error}");
        }
        let error = of_json("[\n{\"media\":\"m\"}\n]").unwrap_err();
        assert!(error.contains("line 2") && error.contains("missing field"), "{error}");
        let entry = r#"[{"media":"m","url":"http://a.example/#x","format":"ts","definition":"HD"}]"#;
        assert!(of_json(entry).unwrap_err().starts_with("entry 1: url: "));
    }
}
