//! Sync and pagination tokens: any text is read or refused, and what is read is told again as it was.
//!
//! The first eight bytes are the store's epoch; then the token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_homeserver::streams::{Token, TokenError};

fuzz_target!(|input: (u64, &str)| {
    let (epoch, text) = input;
    match Token::parse(text, epoch) {
        Ok(token) => {
            let told = token.render(epoch);
            assert_eq!(Token::parse(&told, epoch), Ok(token));
            assert_eq!(Token::parse(&told, epoch ^ 1), Err(TokenError::OtherEpoch));
        }
        Err(TokenError::OtherEpoch | TokenError::Malformed) => {}
    }
});
