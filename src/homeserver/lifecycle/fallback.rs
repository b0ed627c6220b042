//! Stages that somebody passes in a browser, since their app does not know them. Client-server API, "Fallback".

use std::net::IpAddr;

use matron_matrix::Error as MatrixError;
use ruma::OwnedUserId;
use ruma::api::client::uiaa::AuthType;

use super::Lifecycle;
use super::authorize::wrong_password;
use super::interactive::{ended, not_awaited};
use crate::error::Result;

/// What a stage asks of somebody in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Nothing any more: it was passed.
    Nothing,
    /// Whether to go on.
    GoOn,
    /// A registration token.
    RegistrationToken,
    /// A password.
    Password {
        /// Whose.
        user_id: OwnedUserId,
        /// What it is given for: the name of an [`super::Operation`].
        operation: String,
    },
    /// To open the link in a letter.
    Letter,
}

impl Lifecycle {
    /// What a stage of a client's session asks.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such session, `M_UNRECOGNIZED` where this is not its next stage, `M_FORBIDDEN` where
    /// nobody is logged in and a password is asked for.
    pub async fn question(&self, session: &str, stage: &AuthType) -> Result<Question> {
        let state = self.interactive.known(session).ok_or_else(ended)?;
        if state.has_passed(stage) {
            return Ok(Question::Nothing);
        }
        if !state.awaits(stage) {
            return Err(not_awaited().into());
        }
        match (stage, state.user) {
            (AuthType::Dummy, _) => Ok(Question::GoOn),
            (AuthType::RegistrationToken, _) => Ok(Question::RegistrationToken),
            (AuthType::EmailIdentity, _) => Ok(Question::Letter),
            (AuthType::Password, Some(user)) => {
                Ok(Question::Password { user_id: self.ids.user_id(user).await?, operation: state.name })
            }
            // Anybody may begin such a session, for a new password of their own choosing say, and send others the link: who
            // gave a password here would let them in.
            (AuthType::Password, None) => {
                Err(MatrixError::forbidden("who is not logged in gives a password in their own app alone").into())
            }
            _ => Err(not_awaited().into()),
        }
    }

    /// Answers a question: the stage is passed then. As many wrong answers are taken as anywhere.
    ///
    /// # Errors
    /// As [`Self::question`]; `M_FORBIDDEN` for a wrong answer, `M_LIMIT_EXCEEDED` after too many; `M_USER_LOCKED`.
    pub async fn answer(&self, session: &str, stage: &AuthType, answer: &str, address: Option<IpAddr>) -> Result<()> {
        let proven = match self.question(session, stage).await? {
            Question::Nothing => return Ok(()),
            Question::Letter => return Err(MatrixError::forbidden("the link in the letter is the answer").into()),
            Question::GoOn => None,
            Question::RegistrationToken => {
                if !self.registration_token_valid(answer, address)? {
                    return Err(MatrixError::forbidden("the registration token is not valid").into());
                }
                None
            }
            Question::Password { user_id, .. } => {
                let name = user_id.as_str();
                let found = self.accounts.identify(name).await?;
                Some(self.prove(name, answer, address, found).await?.ok_or_else(wrong_password)?)
            }
        };
        self.interactive.pass(session, stage.clone(), proven).map(drop)
    }
}
