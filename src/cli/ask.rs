//! Asking a state folder: through the floor that holds it, or from its files when none does.

use std::path::Path;

use anyhow::Result;
use serde::de::DeserializeOwned;

use crate::floor::assembly::Stores;
use crate::floor::control;
use crate::floor::faults::Faults;
use crate::floor::queries::{Query, answer};
use crate::floor::state_folder::{FolderError, StateFolder};

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
