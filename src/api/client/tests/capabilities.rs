use serde_json::{Value, json};

use super::House;

impl House {
    async fn capabilities(&self, token: &str) -> Value {
        self.get("/capabilities", token).await.done()["capabilities"].clone()
    }
}

#[tokio::test]
async fn capabilities_are_those_of_who_asks() {
    let house = House::with(|config| config.guests = true).await;
    let enabled = |capabilities: &Value| {
        let names = ["m.change_password", "m.get_login_token", "m.set_displayname", "m.set_avatar_url"];
        names.map(|name| capabilities[name]["enabled"].as_bool().unwrap())
    };
    let ann = house.register("ann").await;
    let user = house.capabilities(&ann).await;
    assert_eq!(enabled(&user), [true; 4]);
    assert_eq!(user["m.profile_fields"], json!({ "enabled": true }));

    let guest = house.post("/register?kind=guest", "", json!({})).await;
    let (guest, guest_id) = (guest.text("access_token"), guest.text("user_id"));
    let capabilities = house.capabilities(guest).await;
    assert_eq!(enabled(&capabilities), [false, false, true, false]);
    assert_eq!(capabilities["m.profile_fields"], json!({ "enabled": true, "allowed": ["displayname"] }));
    assert_eq!(capabilities["m.3pid_changes"], json!({ "enabled": false }));
    assert_eq!(capabilities["m.room_versions"], user["m.room_versions"]);
    let field = |name: &str| format!("/profile/{guest_id}/{name}");
    house.put(&field("displayname"), guest, json!({ "displayname": "Somebody" })).await.done();
    let tz = house.put(&field("m.tz"), guest, json!({ "m.tz": "Europe/London" })).await;
    tz.refused(403, "M_GUEST_ACCESS_FORBIDDEN");

    for token in [&*ann, guest] {
        let user = house.server.accounts.authenticate(token).await.unwrap().user;
        house.server.accounts.set_suspended(user, true).await.unwrap();
    }
    let capabilities = house.capabilities(&ann).await;
    assert_eq!(enabled(&capabilities), [true, true, false, false]);
    assert_eq!(capabilities["m.profile_fields"], json!({ "enabled": false }));
    house.put(&field("displayname"), guest, json!({ "displayname": "x" })).await.refused(403, "M_USER_SUSPENDED");
    let capabilities = house.capabilities(guest).await;
    assert_eq!(enabled(&capabilities), [false; 4]);
    assert_eq!(capabilities["m.profile_fields"], json!({ "enabled": false }));
}

#[tokio::test]
async fn administrators_are_told_that_they_moderate() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let moderation = async || {
        let capabilities = house.capabilities(&ann).await;
        let both = ["m.account_moderation", "uk.timedout.msc4323"].map(|name| capabilities.get(name).cloned());
        assert_eq!(both[0], both[1]);
        both[0].clone()
    };
    assert_eq!(moderation().await, None);
    let user = house.server.accounts.authenticate(&ann).await.unwrap().user;
    house.server.accounts.set_admin(user, true).await.unwrap();
    assert_eq!(moderation().await, Some(json!({ "lock": true, "suspend": true })));
    house.server.accounts.set_suspended(user, true).await.unwrap();
    assert_eq!(moderation().await, None);
}
