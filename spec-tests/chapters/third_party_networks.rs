//! "Third-party Networks": where no bridge is, nothing beyond is found.

use serde_json::json;
use spec_tests::User;

use crate::{run, server};

#[test]
fn without_a_bridge_nothing_is_beyond() {
    run(async {
        let server = server().await;
        let ann = server.user("ann").await;
        assert_eq!(ann.get("/v3/thirdparty/protocols").await.ok(), json!({}));
        let user = format!("/v3/thirdparty/user?userid={}", ann.id);
        for path in [
            "/v3/thirdparty/protocol/irc",
            "/v3/thirdparty/location/irc?channel=%23ward",
            "/v3/thirdparty/user/irc?nickname=ann",
            "/v3/thirdparty/location?alias=%23ward:localhost",
            &*user,
        ] {
            ann.get(path).await.refused(404, "M_NOT_FOUND");
            User::stranger(&server.url).get(path).await.refused(401, "M_MISSING_TOKEN");
        }
        ann.get("/v3/thirdparty/location").await.refused(400, "M_MISSING_PARAM");
        ann.get("/v3/thirdparty/user").await.refused(400, "M_MISSING_PARAM");
    });
}
