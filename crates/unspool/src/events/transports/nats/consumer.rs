//! Consumers of a stream: what gives its messages.

use std::time::Duration;

use serde_json::{Value, json};

use super::owed::MAX_OWED;
use super::protocol::{Nats, nanoseconds, unexpected};
use crate::error::Error;

/// How long the server remembers a consumer whose connection is gone.
const INACTIVE: Duration = Duration::from_secs(300);

/// The code with which the server says that there is no such consumer.
const NO_CONSUMER: u64 = 10014;

/// What a stream has.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Whether messages go away only because there are too many, or they are too old.
    pub(super) is_limited: bool,
}

impl Kept {
    pub(super) async fn of(nats: &mut Nats, stream: &str) -> Result<Self, Error> {
        let info = nats
            .api(&format!("STREAM.INFO.{stream}"), &json!({}))
            .await?;
        let state = &info["state"];
        let number = |name: &str| state[name].as_u64().ok_or_else(unexpected);
        Ok(Kept {
            first: number("first_seq")?,
            last: number("last_seq")?,
            is_limited: info["config"]["retention"] == "limits",
        })
    }
}

/// How a consumer is made.
pub(super) struct ConsumerForm {
    pub(super) after: u64,
    pub(super) subject: Option<String>,
}

impl ConsumerForm {
    fn config(&self) -> Value {
        let mut config = json!({"replay_policy": "instant"});
        match self.after {
            0 => config["deliver_policy"] = "all".into(),
            after => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = (after + 1).into();
            }
        }
        if let Some(subject) = &self.subject {
            config["filter_subject"] = subject.as_str().into();
        }
        config
    }

    /// Makes a consumer that goes away with the connection: its name.
    pub(super) async fn make(&self, nats: &mut Nats, stream: &str) -> Result<String, Error> {
        let mut config = self.config();
        config["ack_policy"] = "none".into();
        config["mem_storage"] = true.into();
        config["inactive_threshold"] = nanoseconds(INACTIVE);
        let request = json!({"stream_name": stream, "config": config});
        let made = (nats.api(&format!("CONSUMER.CREATE.{stream}"), &request)).await?;
        let name = made["name"].as_str().ok_or_else(unexpected)?;
        Ok(name.to_owned())
    }

    /// Sees to it that there is a durable consumer of this name, which stands where it stands:
    /// the message up to which all have been acknowledged.
    pub(super) async fn join(
        &self,
        nats: &mut Nats,
        stream: &str,
        name: &str,
    ) -> Result<u64, Error> {
        let info = format!("CONSUMER.INFO.{stream}.{name}");
        match nats.api(&info, &json!({})).await {
            Err(error) if error.code() == Some(&NO_CONSUMER.to_string()) => {}
            joined => return Ok(joined?["ack_floor"]["stream_seq"].as_u64().unwrap_or(0)),
        }
        let mut config = self.config();
        config["durable_name"] = name.into();
        config["ack_policy"] = "explicit".into();
        config["max_ack_pending"] = MAX_OWED.into();
        let request = json!({"stream_name": stream, "config": config});
        let subject = format!("CONSUMER.DURABLE.CREATE.{stream}.{name}");
        nats.api(&subject, &request).await.map(|_| 0)
    }
}
