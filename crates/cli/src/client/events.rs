//! Server-sent events of control: a task, as it changes.

use super::connection::{ClientError, Control};
use bytes::Bytes;
use freshen_api::v1::wire::{ErrorView, TaskView};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;

/// The longest event, in bytes: a task of many POPs with all their failures.
const EVENT_BYTES_MAX: usize = 64 << 20;
/// Control sends a comment every 15 seconds; longer silence is a broken connection.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// A task's stream of events.
pub struct Events {
    body: Incoming,
    /// What came and is no whole event yet.
    read: Vec<u8>,
    /// The id of the last event, to go on from there.
    last: Option<String>,
}

/// An event's fields.
#[derive(Debug, Default, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: String,
}

impl Events {
    /// Listens to a task, behind the event that was seen last.
    pub async fn of(control: &Control, task: &str, last: Option<String>) -> Result<Events, ClientError> {
        let body = control.open(&format!("/v1/tasks/{task}/events"), last.as_deref()).await?;
        Ok(Events { body, read: Vec::new(), last })
    }

    /// The id of the last event.
    pub fn last(&self) -> Option<String> {
        self.last.clone()
    }

    /// The task at its next change; `None` where the stream ended before the task did.
    pub async fn next(&mut self, control: &Control) -> Result<Option<TaskView>, ClientError> {
        let broken =
            |error: &dyn std::fmt::Display| ClientError::Failed(format!("an event of control's: {error}"));
        loop {
            while let Some(event) = taken(&mut self.read) {
                let event = parsed(&event);
                if !event.id.is_empty() {
                    self.last = Some(event.id);
                }
                match event.name.as_str() {
                    "task" => {
                        return serde_json::from_str(&event.data).map(Some).map_err(|error| broken(&error));
                    }
                    "error" => {
                        let said: ErrorView =
                            serde_json::from_str(&event.data).map_err(|error| broken(&error))?;
                        return Err(ClientError::Refused(said));
                    }
                    _ => {}
                }
            }
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            let frame = frame.map_err(|_| control.unreachable(format!("silent for {SILENCE_MAX:?}")))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| control.unreachable(error.to_string()))?;
            self.read.extend_from_slice(&frame.into_data().unwrap_or_else(|_| Bytes::new()));
            if self.read.len() > EVENT_BYTES_MAX {
                return Err(broken(&"it is too long"));
            }
        }
    }
}

/// The first whole event, taken off what was read.
fn taken(read: &mut Vec<u8>) -> Option<String> {
    let end = read.windows(2).position(|two| two == b"\n\n")?;
    let event = read.drain(..end + 2).collect::<Vec<u8>>();
    Some(String::from_utf8_lossy(&event).into_owned())
}

/// An event's fields; comments are none.
fn parsed(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => event.name = value.to_owned(),
            "id" => event.id = value.to_owned(),
            "data" => event.data.push_str(value),
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole_and_comments_passed_over() {
        let mut read = b":\n\nevent: task\nid: 7\ndata: {}\n\nevent: ta".to_vec();
        assert_eq!(parsed(&taken(&mut read).unwrap()), Event::default());
        let event = Event { name: "task".into(), id: "7".into(), data: "{}".into() };
        assert_eq!(parsed(&taken(&mut read).unwrap()), event);
        assert_eq!((taken(&mut read), read.as_slice()), (None, b"event: ta".as_slice()));
    }
}
