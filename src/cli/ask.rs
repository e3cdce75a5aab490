//! Asking a state folder, and telling it something: through the floor that holds it, or with its files when none does.

use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::floor::assembly::{Stores, assemble};
use crate::floor::control::{self, Control};
use crate::floor::faults::{Faults, VARIABLE};
use crate::floor::people::{self, Request, Told};
use crate::floor::queries::{Query, answer};
use crate::floor::state_folder::{FolderError, StateFolder};
use crate::floor::tree::Floor;

/// The answer to a question.
///
/// # Errors
/// When the folder holds nothing, cannot be read, or the floor that holds it does not answer.
pub async fn ask<T: DeserializeOwned>(folder: &Path, query: Query) -> Result<T> {
    let value = match StateFolder::take_existing(folder) {
        Ok(held) => {
            let stores = Stores::open(held.path(), &Faults::default())?;
            answer(&stores, &query).await?
        }
        Err(FolderError::InUse { .. }) => control::ask(folder, query).await?,
        Err(error) => return Err(error.into()),
    };
    Ok(serde_json::from_value(value)?)
}

/// Has a person's request carried out. Where no floor runs, one without sources is started, which carries it out,
/// works on what was changed by it until nothing is left to do, and ends.
///
/// # Errors
/// As [`ask`]; when the request does not fit the cases; when the floor breaks down.
pub async fn tell(folder: &Path, request: Request) -> Result<Told> {
    let held = match StateFolder::take_existing(folder) {
        Ok(held) => held,
        Err(FolderError::InUse { .. }) => {
            let told = control::ask(folder, Query::Tell { request }).await?;
            return Ok(serde_json::from_value(told)?);
        }
        Err(error) => return Err(error.into()),
    };
    let faults = Faults::parse(&std::env::var(VARIABLE).unwrap_or_default())?;
    let stores = Stores::open(held.path(), &faults)?.with_context(held.path(), None)?;
    // Refused and merely counted requests need no floor.
    let counted = people::count(&stores, request.clone(), Timestamp::now()).await?;
    if request.only_count || counted.cases.is_empty() {
        return Ok(counted);
    }
    let control = Control::open(held.path(), stores.clone()).await?;
    let floor = Floor::start(assemble(&held, stores.clone(), faults).await?).await?;
    let told = people::say(&stores, request, Timestamp::now()).await;
    let rested = floor.at_rest().await;
    floor.stop().await;
    drop(control);
    rested?;
    Ok(told?)
}
