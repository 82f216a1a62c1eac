//! Pure: as much of STUN (RFC 8489, section 5) as is looked at before the library is: whose check it is, and whether it
//! nominates.

const HEADER_BYTES: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const USERNAME: u16 = 0x0006;
/// By it a client says that it will use this pair (RFC 8445, section 7.1.2).
const USE_CANDIDATE: u16 = 0x0025;

/// Whether a check is answered with success here.
pub(super) fn is_success(datagram: &[u8]) -> bool {
    datagram.starts_with(&BINDING_SUCCESS)
}

/// Our side of the user name in a binding request.
pub(super) fn ufrag(datagram: &[u8]) -> Option<&str> {
    let (_, name) = attributes(datagram)?.find(|(kind, _)| *kind == USERNAME)?;
    let name = std::str::from_utf8(name).ok()?;
    Some(name.split_once(':').map_or(name, |(ours, _)| ours))
}

/// Whether a binding request nominates the pair it comes over.
pub(super) fn nominates(datagram: &[u8]) -> bool {
    attributes(datagram).is_some_and(|mut attributes| attributes.any(|(kind, _)| kind == USE_CANDIDATE))
}

/// The attributes of a binding request, up to the first that is cut short; nothing for other datagrams.
fn attributes(datagram: &[u8]) -> Option<impl Iterator<Item = (u16, &[u8])>> {
    let (header, mut rest) = datagram.split_at_checked(HEADER_BYTES)?;
    header.starts_with(&BINDING_REQUEST).then(|| {
        std::iter::from_fn(move || {
            let (head, body) = rest.split_at_checked(4)?;
            let (kind, len) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
            let value = body.get(..len.into())?;
            // The padding of the last one may be missing: nothing follows it.
            rest = body.get(usize::from(len).next_multiple_of(4)..).unwrap_or_default();
            Some((kind, value))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nomination_is_seen_behind_other_attributes() {
        let mut check = vec![0u8; HEADER_BYTES];
        check[1] = 1;
        check.extend([0x80, 0x22, 0, 3, b'x', b'y', b'z', 0]);
        assert!(!nominates(&check));
        check.extend([0x00, 0x25, 0, 0]);
        assert!(nominates(&check));
        check[0] = 1;
        assert!(!nominates(&check), "an answer nominates nothing");
        assert!(!nominates(&check[..10]) && !nominates(&[]));
    }

    #[test]
    fn a_name_is_found_whole_or_not_at_all() {
        let mut check = vec![0u8; HEADER_BYTES];
        check[1] = 1;
        check.extend([0, 6, 0, 6, b'o', b'u', b'r', b's', b':', b't']);
        assert_eq!(ufrag(&check), Some("ours"), "without its padding");
        assert_eq!(ufrag(&check[..check.len() - 1]), None);
        assert!(!is_success(&check) && is_success(&[1, 1, 0, 0]));
    }
}
