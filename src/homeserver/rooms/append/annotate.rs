//! Annotations: nobody gives an event the same one twice. Client-server API, "Avoiding duplicate annotations".

use matron_matrix::{Error as MatrixError, digest};

use super::Append;
use crate::error::Result;
use crate::schema::relations::{ANNOTATIONS, Relation};
use crate::schema::{Digest, UserNum};

/// What tells a user's annotations of one event apart: the type of the event that annotates, and its key.
pub(super) fn annotation(kind: &str, key: Option<&str>) -> Digest {
    digest::of_parts([kind.as_bytes(), key.unwrap_or_default().as_bytes()])
}

impl Append<'_> {
    /// # Errors
    /// `M_DUPLICATE_ANNOTATION` where the user gave it already.
    pub(super) async fn check_annotation(
        &self,
        target: Digest,
        sender: UserNum,
        kind: &str,
        key: Option<&str>,
    ) -> Result<()> {
        let wanted = annotation(kind, key);
        let is_same = |row: &Relation| row.sender == sender && annotation(&row.kind, row.key.as_deref()) == wanted;
        let touched = &self.working.touched.relations;
        let fresh = touched.iter().any(|((of, ..), row)| *of == target && row.as_ref().is_some_and(is_same));
        let row = (self.working.num, target, sender, wanted);
        let known = match self.working.snapshot.get(&ANNOTATIONS, &row).await? {
            Some(event) => !self.working.touched.redacted.contains(&event),
            None => false,
        };
        if fresh || known {
            return Err(MatrixError::duplicate_annotation("you have annotated the event so already").into());
        }
        Ok(())
    }
}
