//! Until when a certificate holds: the one date in it that somebody must know before it is over.

use x509_parser::parse_x509_certificate;

/// The last second in which a certificate (in DER) holds, since 1970; nothing where it cannot be read.
pub fn end(certificate: &[u8]) -> Option<u64> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn the_end_is_found_in_a_certificate() {
        let mut made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        for (year, expected) in [(2031, 1_927_843_200), (2061, 2_874_614_400)] {
            made.not_after = rcgen::date_time_ymd(year, 2, 3);
            let certificate = made.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let der = certificate.der();
            assert_eq!(end(der), Some(expected));
            assert_eq!(end(&der[..der.len() / 2]), None);
        }
    }
}
