//! The control socket: other commands ask a floor that is running, over loopback, with a secret only its owner can read.
//!
//! One request and one answer per connection, a line of JSON each. The address and the secret lie in
//! `control.json` in the state folder, readable by its owner alone; the file goes when the floor goes.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::assembly::Stores;
use super::queries::{self, Query};
use crate::telemetry::ids;

/// Where the address and the secret lie.
const FILE: &str = "control.json";

/// Longest request, in bytes: a request is a few words.
const LONGEST_REQUEST: u64 = 64 * 1024;

/// How long a connection may keep the floor waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer may take that looks at every event or record.
const LONG_ANSWER: Duration = Duration::from_secs(300);

#[derive(Debug, Serialize, Deserialize)]
struct Address {
    address: SocketAddr,
    secret: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    secret: String,
    #[serde(flatten)]
    query: Query,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Response {
    Answer(Value),
    Error(String),
}

/// Why the control socket could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The floor does not answer.
    #[error("the watchfloor that holds {folder} does not answer ({what}): wait for it to end, or stop it")]
    Silent {
        /// The folder.
        folder: String,
        /// What happened.
        what: String,
    },
    /// The floor answered with an error.
    #[error("{0}")]
    Refused(String),
    /// The socket could not be opened.
    #[error("the control socket of {folder} could not be opened: {source}")]
    Unusable {
        /// The folder.
        folder: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A socket that answers as long as it is held.
pub struct Control {
    file: PathBuf,
    serving: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Control {
    /// Opens the socket of a floor.
    ///
    /// # Errors
    /// When no loopback port is free or the folder cannot be written.
    pub async fn open(folder: &Path, stores: Stores) -> Result<Self, ControlError> {
        let unusable = |source| ControlError::Unusable { folder: folder.display().to_string(), source };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(unusable)?;
        let secret = format!("{}{}", ids::new_trace(), ids::new_trace());
        let address = Address { address: listener.local_addr().map_err(unusable)?, secret: secret.clone() };
        let file = folder.join(FILE);
        write_owner_only(&file, &serde_json::to_string(&address).unwrap_or_default()).map_err(unusable)?;
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (stores, secret) = (stores.clone(), secret.clone());
                tokio::spawn(async move {
                    if let Err(error) = serve(connection, &stores, &secret).await {
                        tracing::debug!(%error, "a control connection broke");
                    }
                });
            }
        });
        Ok(Self { file, serving })
    }
}

/// Writes a file that only its owner can read, from the moment it exists.
fn write_owner_only(file: &Path, text: &str) -> std::io::Result<()> {
    let _ = std::fs::remove_file(file);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}

async fn serve(mut connection: TcpStream, stores: &Stores, secret: &str) -> std::io::Result<()> {
    let (reading, mut writing) = connection.split();
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, BufReader::new(reading.take(LONGEST_REQUEST)).read_line(&mut line)).await??;
    let response = match serde_json::from_str::<Request>(&line) {
        Ok(request) if is_same(&request.secret, secret) => {
            match tokio::time::timeout(LONG_ANSWER, queries::answer(stores, &request.query)).await {
                Ok(Ok(answer)) => Response::Answer(answer),
                Ok(Err(error)) => Response::Error(error.to_string()),
                Err(_) => Response::Error("the answer takes too long: stop the floor and ask again".into()),
            }
        }
        Ok(_) => Response::Error("the secret is wrong".into()),
        Err(error) => Response::Error(format!("the request cannot be read: {error}")),
    };
    let mut line = serde_json::to_string(&response).unwrap_or_default();
    line.push('\n');
    tokio::time::timeout(PATIENCE, writing.write_all(line.as_bytes())).await?
}

/// Compares without telling by its time where two secrets part.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// Asks the floor that holds a folder.
///
/// # Errors
/// When it does not answer or refuses.
pub async fn ask(folder: &Path, query: Query) -> Result<Value, ControlError> {
    let silent = |what: String| ControlError::Silent { folder: folder.display().to_string(), what };
    let patience = if query.reads_everything() { LONG_ANSWER } else { PATIENCE };
    let asking = async {
        let text = tokio::fs::read_to_string(folder.join(FILE)).await.map_err(|error| silent(error.to_string()))?;
        let Address { address, secret } = serde_json::from_str(&text).map_err(|error| silent(error.to_string()))?;
        let mut connection = TcpStream::connect(address).await.map_err(|error| silent(error.to_string()))?;
        let mut line = serde_json::to_string(&Request { secret, query }).unwrap_or_default();
        line.push('\n');
        connection.write_all(line.as_bytes()).await.map_err(|error| silent(error.to_string()))?;
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).await.map_err(|error| silent(error.to_string()))?;
        match serde_json::from_str(&answer).map_err(|error| silent(error.to_string()))? {
            Response::Answer(value) => Ok(value),
            Response::Error(error) => Err(ControlError::Refused(error)),
        }
    };
    tokio::time::timeout(patience, asking).await.unwrap_or_else(|_| Err(silent("it took too long".into())))
}
