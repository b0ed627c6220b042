//! HTTP requests of all kinds, against the real router over a homeserver in memory: every answer is one of the spec's, none
//! a 5xx, and nothing panics, whatever was sent before.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

mod house;
mod request;

/// As many requests as one input makes: enough for one to use what another left.
const MOST_REQUESTS: usize = 12;

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut house = house::House::new().await;
        let mut input = Unstructured::new(bytes);
        for _ in 0..MOST_REQUESTS {
            if input.is_empty() {
                break;
            }
            let Ok(Some(request)) = request::from(&mut input, &house.words) else { break };
            house.call(request).await;
        }
        house.close().await;
    });
});
