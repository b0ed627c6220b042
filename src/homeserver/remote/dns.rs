//! What names mean: their addresses as the system knows them, and their services (SRV records), which it cannot tell.

use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

#[cfg(test)]
mod tests;

/// How long a name server may take to answer, before it or another one is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often.
const ATTEMPTS: usize = 2;

/// Where a service is (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Those with the lowest are asked first.
    pub priority: u16,
    /// How often it is to be the first among those of its priority.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its host; empty where the service is said not to exist.
    pub target: String,
}

/// Who answers what names mean.
#[async_trait]
pub trait Dns: std::fmt::Debug + Send + Sync {
    /// The addresses of a host, best first.
    ///
    /// # Errors
    /// There are none, or they cannot be looked up.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    /// The services of a name such as `_matrix-fed._tcp.example.org`; none where it has none.
    ///
    /// # Errors
    /// They cannot be looked up.
    async fn services(&self, name: &str) -> io::Result<Vec<Service>>;
}

/// The system's: its resolver for addresses, its name servers for services.
#[derive(Default)]
pub struct SystemDns {
    /// Made when it is needed first; none where the system names no name servers. It keeps answers as long as they are good.
    resolver: OnceLock<Option<TokioResolver>>,
}

impl std::fmt::Debug for SystemDns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SystemDns")
    }
}

impl SystemDns {
    fn resolver(&self) -> Option<&TokioResolver> {
        let made = self.resolver.get_or_init(|| {
            let made = TokioResolver::builder_tokio().and_then(|mut builder| {
                builder.options_mut().timeout = ANSWER_WITHIN;
                builder.options_mut().attempts = ATTEMPTS;
                builder.build()
            });
            made.inspect_err(|error| tracing::warn!(%error, "no name servers are known: SRV records are not looked up"))
                .ok()
        });
        made.as_ref()
    }
}

#[async_trait]
impl Dns for SystemDns {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        // The port is nobody's: it is only asked for.
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }

    async fn services(&self, name: &str) -> io::Result<Vec<Service>> {
        let Some(resolver) = self.resolver() else { return Ok(Vec::new()) };
        // With a dot at its end it is the whole name, and nothing is looked for under the system's own domains.
        let found = match resolver.srv_lookup(format!("{name}.")).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(io::Error::other(error)),
        };
        let services = found.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(service) => Some(Service {
                priority: service.priority,
                weight: service.weight,
                port: service.port,
                target: service.target.to_ascii().trim_end_matches('.').to_owned(),
            }),
            _ => None,
        });
        Ok(services.collect())
    }
}
