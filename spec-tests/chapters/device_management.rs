//! "Device management": the list of one's devices.

use crate::{run, server};

#[test]
fn a_device_that_has_asked_for_nothing_yet_has_a_time_too() {
    run(async {
        let ann = server().await.user("ann").await;
        let second = ann.log_in_again().await;
        let listed = ann.get("/v3/devices").await.ok();
        let devices = listed["devices"].as_array().unwrap();
        let shown = devices.iter().find(|device| device["device_id"] == second.device_id.as_str()).unwrap();
        assert!(shown["last_seen_ts"].as_u64().is_some_and(|at| at > 1_700_000_000_000), "{listed}");
        assert!(shown["display_name"].is_null() && shown["last_seen_ip"].is_null(), "{listed}");
        assert_eq!(&ann.get(&format!("/v3/devices/{}", second.device_id)).await.ok(), shown);
    });
}
