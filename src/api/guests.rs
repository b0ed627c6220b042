//! What guests may call: client-server API, "Guest access".

use http::Method;

/// Whether a guest may call what is at this path. Beside the spec's list: what every client does first, and logging out.
pub fn may_call(method: &Method, path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/_matrix/") else { return path.starts_with("/.well-known/") };
    let parts: Vec<_> = rest.split('/').collect();
    matches!(
        (method.as_str(), parts.as_slice()),
        (
            "GET" | "HEAD",
            ["client", "versions"]
                | ["client", _, "sync" | "events" | "capabilities" | "devices" | "pushrules", ..]
                | ["client", _, "account", "whoami"]
                | ["client", _, "user", _, "filter", _]
                | ["client", _, "rooms", _, "state" | "context" | "event" | "messages" | "members" | "initialSync", ..]
                | ["client", _, "media", "download" | "thumbnail", ..],
        ) | (
            "POST",
            ["client", _, "rooms", _, "join" | "leave"]
                | ["client", _, "user", _, "filter"]
                | ["client", _, "logout", ..]
                | ["client", _, "keys", "upload" | "query" | "claim"],
        ) | (
            "PUT",
            ["client", _, "rooms", _, "send" | "state", ..]
                | ["client", _, "sendToDevice", ..]
                | ["client", _, "devices", _],
        ) | ("PUT" | "DELETE", ["client", _, "profile", _, "displayname"])
    )
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::may_call;

    #[test]
    fn as_the_spec_lists() {
        for (method, path) in [
            (Method::GET, "/_matrix/client/versions"),
            (Method::GET, "/_matrix/client/v3/sync"),
            (Method::GET, "/_matrix/client/v3/devices/ABC"),
            (Method::PUT, "/_matrix/client/v3/rooms/!a:b/send/m.room.message/1"),
            (Method::PUT, "/_matrix/client/v3/profile/@a:b/displayname"),
            (Method::POST, "/_matrix/client/v3/keys/upload"),
        ] {
            assert!(may_call(&method, path), "{path}");
        }
        for (method, path) in [
            (Method::PUT, "/_matrix/client/v3/profile/@a:b/avatar_url"),
            (Method::POST, "/_matrix/client/v3/createRoom"),
            (Method::POST, "/_matrix/client/v3/rooms/!a:b/invite"),
            (Method::POST, "/_matrix/client/v3/account/deactivate"),
            (Method::DELETE, "/_matrix/client/v3/devices/ABC"),
            (Method::POST, "/_matrix/client/v3/keys/device_signing/upload"),
            (Method::GET, "/_synapse/admin/v1/users"),
        ] {
            assert!(!may_call(&method, path), "{path}");
        }
    }
}
