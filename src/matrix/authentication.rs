//! Signed requests of one server to another: server-server API, "Request Authentication".

use ruma::ServerName;
use ruma::signatures::KeyPair;

use crate::splice::Object;

#[cfg(test)]
mod tests;

/// A request as it is signed. Both servers are called by their own names, wherever the requests go in the end.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub origin: &'a ServerName,
    /// Who is asked.
    pub destination: &'a ServerName,
    /// The method, in capitals.
    pub method: &'a str,
    /// The path, from its first slash on, with the query.
    pub uri: &'a str,
    /// The body in canonical JSON, where there is one.
    pub content: Option<&'a str>,
}

impl Request<'_> {
    /// The object that is signed, in canonical JSON: what stands in it is JSON already, and its names are in order.
    fn to_sign(self) -> String {
        let mut out = String::with_capacity(self.content.map_or(0, str::len) + 256);
        let mut object = Object::begin(&mut out);
        if let Some(content) = self.content {
            object.raw("content", content);
        }
        object.text("destination", self.destination.as_str());
        object.text("method", self.method);
        object.text("origin", self.origin.as_str());
        object.text("uri", self.uri);
        object.end();
        out
    }

    /// The value of the `Authorization` header. Neither names nor keys have anything in them that needs a backslash.
    #[must_use]
    pub fn authorization<K: KeyPair>(self, key: &K) -> String {
        let signature = key.sign(self.to_sign().as_bytes());
        let (origin, destination) = (self.origin, self.destination);
        let (key, signature) = (signature.id(), signature.base64());
        format!(r#"X-Matrix origin="{origin}",destination="{destination}",key="{key}",sig="{signature}""#)
    }
}
