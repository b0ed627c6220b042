//! The certificates of the listeners that speak TLS themselves.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sheet::Sheet;
use crate::listen::Tls;

/// Asks what these listeners have in use.
#[derive(Debug)]
pub struct Collect(pub Vec<(SocketAddr, Arc<Tls>)>);

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let ends = self.0.iter().filter_map(|(address, tls)| Some((address.to_string(), tls.ends()?)));
        let ends: Vec<_> = ends.collect();
        let ends = ends.iter().map(|(address, ends)| (address.as_str(), *ends));
        let help = "Until when a listener's certificate holds, in seconds since 1970";
        Sheet(encoder).gauges(("certificate_expires_timestamp_seconds", "listener"), help, ends)
    }
}
