//! Until when a certificate holds: the one date in it that somebody must know before it is over (RFC 5280, section 4.1).

/// The tag of the field that says which version a certificate has; the first version has none.
const VERSION: u8 = 0xa0;
/// The tags of a time with two digits for its year, and of one with four.
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last second in which a certificate (in DER) holds, since 1970; nothing where it cannot be read.
pub fn end(certificate: &[u8]) -> Option<u64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Its number, how it is signed, and by whom.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, validity) = element(validity)?;
    let (tag, time, _) = element(validity)?;
    seconds(tag, std::str::from_utf8(time).ok()?)
}

/// The first element's tag and content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    /// No certificate is longer than so many bytes can say.
    const MOST_LENGTH_BYTES: usize = 4;
    let (&[tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match usize::from(length) {
        length @ 0..0x80 => (length, rest),
        long => {
            let (length, rest) = rest.split_at_checked(long - 0x80)?;
            if length.len() > MOST_LENGTH_BYTES {
                return None;
            }
            (length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDhhmmssZ`, or with four digits for the year, in seconds since 1970.
fn seconds(tag: u8, time: &str) -> Option<u64> {
    let number = |text: &str| text.parse::<u64>().ok();
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = time.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = time.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let mut parts =
        rest.strip_suffix('Z')?.as_bytes().chunks_exact(2).map(|two| number(std::str::from_utf8(two).ok()?));
    let mut part = || parts.next().flatten();
    let (month, day, hour, minute, second) = (part()?, part()?, part()?, part()?, part()?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // Years that begin with March have their leap day at the end; 719468 days lie between the first of them and 1970.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, "261126110659Z"), Some(1_795_691_219));
        assert_eq!(seconds(GENERALIZED_TIME, "20000229235959Z"), Some(951_868_799));
        assert_eq!(seconds(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(seconds(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for wrong in
            ["", "Z", "20001301000000Z", "20000229235959", "2000022923595", "ä0000229235959Z", "00000229235959Z"]
        {
            assert_eq!(seconds(GENERALIZED_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_end_is_found_in_a_certificate() {
        let mut made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        for (year, expected) in [(2031, 1_927_843_200), (2061, 2_874_614_400)] {
            made.not_after = rcgen::date_time_ymd(year, 2, 3);
            let certificate = made.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let der = certificate.der();
            assert_eq!(end(der), Some(expected));
            for cut in 0..der.len() {
                let _ = end(&der[..cut]);
            }
        }
    }
}
