//! Filters: kept once and named by their digest. Client-server API, "Filtering".

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use matron_matrix::filter::check;
use matron_matrix::{Error as MatrixError, digest};
use matron_storage::{Batch, Error as StorageError, Snapshot};
use ruma::UserId;
use ruma::api::client::filter::FilterDefinition;

use super::account_data::only_own;
use super::derived::Filter;
use super::{Accounts, Session};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::accounts::FILTERS;

#[cfg(test)]
mod tests;

/// The largest filter, as JSON.
const MAX_FILTER_BYTES: usize = 65_536;
/// How many filters a user may keep, and bytes of them: clients send the same one at each start.
const MAX_FILTERS: usize = 1000;
const MAX_FILTERS_BYTES: usize = 1 << 20;

/// The front of a filter's digest.
type FilterKey = [u8; 8];

impl Accounts {
    /// Keeps a filter for its user and answers its id. The same filter has the same id and is written once.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is for another user, `M_TOO_LARGE` where it or their number is too great, `M_INVALID_PARAM`
    /// where a list of it is too long.
    pub async fn create_filter(
        &self,
        session: &Session,
        user_id: &UserId,
        filter: &FilterDefinition,
    ) -> Result<String> {
        only_own(session, user_id)?;
        let json = serde_json::to_string(filter).map_err(Error::internal)?;
        if json.len() > MAX_FILTER_BYTES {
            return Err(MatrixError::too_large(format!("a filter has {MAX_FILTER_BYTES} bytes at most")).into());
        }
        check(filter)?;
        let key = key_of(&json);
        let row = (session.user, key);
        let snapshot = self.store.snapshot();
        if snapshot.get(&FILTERS, &row).await?.is_none() {
            let mut rows = snapshot.scan(&FILTERS, FILTERS.under(&(session.user,)));
            let (mut filters, mut bytes) = (1, json.len());
            while let Some((_, kept)) = rows.next().await? {
                filters += 1;
                bytes += kept.len();
                if filters > MAX_FILTERS || bytes > MAX_FILTERS_BYTES {
                    let why = format!("{MAX_FILTERS} filters of {MAX_FILTERS_BYTES} bytes together can be kept");
                    return Err(MatrixError::too_large(why).into());
                }
            }
            let mut batch = Batch::new();
            batch.expect_absent(&FILTERS, &row);
            batch.put(&FILTERS, &row, &json);
            match self.store.commit(batch).await {
                // Who was faster wrote the same.
                Ok(_) | Err(StorageError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(URL_SAFE_NO_PAD.encode(key))
    }

    /// A filter, for its owner.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is another user's, `M_NOT_FOUND` where there is none.
    pub async fn get_filter(&self, session: &Session, user_id: &UserId, id: &str) -> Result<Arc<FilterDefinition>> {
        only_own(session, user_id)?;
        self.filter(&self.store.snapshot(), session.user, id).await
    }

    /// A user's filter by its id, from memory where it was used before.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none.
    pub async fn filter(&self, snapshot: &Snapshot, user: UserNum, id: &str) -> Result<Arc<FilterDefinition>> {
        let missing = || MatrixError::not_found("there is no such filter");
        let mut key: FilterKey = [0; 8];
        if URL_SAFE_NO_PAD.decode_slice(id, &mut key) != Ok(key.len()) {
            return Err(missing().into());
        }
        if let Some(filter) = self.derived.filters.get(&(user, key)) {
            return Ok(filter.definition);
        }
        let json = snapshot.get(&FILTERS, &(user, key)).await?.ok_or_else(missing)?;
        let definition: Arc<FilterDefinition> = Arc::new(serde_json::from_str(&json).map_err(Error::internal)?);
        let filter = Filter { definition: Arc::clone(&definition), json: json.len() };
        self.derived.filters.insert((user, key), filter);
        Ok(definition)
    }
}

fn key_of(json: &str) -> FilterKey {
    let mut key: FilterKey = [0; 8];
    for (to, from) in key.iter_mut().zip(digest::of(json.as_bytes())) {
        *to = from;
    }
    key
}
