//! What guests may call: client-server API, "Guest access".

use http::Method;

/// Whether a guest may call what is at this path. Beside the spec's list: what every client does first, and logging out;
/// and where the list of rooms is for strangers too, what those may call.
pub fn may_call(method: &Method, path: &str, list_for_strangers: bool) -> bool {
    let Some(rest) = path.strip_prefix("/_matrix/") else { return path.starts_with("/.well-known/") };
    let parts: Vec<_> = rest.split('/').collect();
    let shows_rooms = matches!(
        parts.as_slice(),
        ["client", _, "publicRooms"]
            | ["client", _, "room_summary", _]
            | ["client", _, "im.nheko.summary", "summary", _]
            | ["client", _, "im.nheko.summary", "rooms", _, "summary"]
    );
    if shows_rooms && matches!(method.as_str(), "GET" | "HEAD") {
        return list_for_strangers;
    }
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
            assert!(may_call(&method, path, false), "{path}");
        }
        for (method, path) in [
            (Method::POST, "/_matrix/client/v3/publicRooms"),
            (Method::PUT, "/_matrix/client/v3/profile/@a:b/avatar_url"),
            (Method::POST, "/_matrix/client/v3/createRoom"),
            (Method::POST, "/_matrix/client/v3/rooms/!a:b/invite"),
            (Method::POST, "/_matrix/client/v3/account/deactivate"),
            (Method::DELETE, "/_matrix/client/v3/devices/ABC"),
            (Method::POST, "/_matrix/client/v3/keys/device_signing/upload"),
            (Method::GET, "/_synapse/admin/v1/users"),
        ] {
            assert!(!may_call(&method, path, true), "{path}");
        }
    }

    #[test]
    fn what_strangers_may_see_of_rooms() {
        for path in [
            "/_matrix/client/v3/publicRooms",
            "/_matrix/client/v1/room_summary/!a:b",
            "/_matrix/client/unstable/im.nheko.summary/summary/!a:b",
            "/_matrix/client/unstable/im.nheko.summary/rooms/!a:b/summary",
        ] {
            assert!(may_call(&Method::GET, path, true), "{path}");
            assert!(!may_call(&Method::GET, path, false), "{path}");
        }
    }
}
