//! Version 2 of the PROXY protocol: before anything else, a proxy says for whom it calls.

use std::io;
use std::net::IpAddr;

use ppp::v2::{Addresses, Command, Header};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes before what they say follows: signature, command, kind of addresses, length.
const FIXED: usize = 16;

/// Bytes that may follow. Addresses need 216 at most; proxies add what they know of TLS and the like.
const MOST: usize = 4096;

/// Reads a proxy's header, and not a byte of what follows. Returns for whom it calls: nobody if it
/// looks after the relay's health, or does not say it.
///
/// # Errors
///
/// The stream's, and [`io::ErrorKind::InvalidData`] if this is no such header.
pub async fn read_header<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<IpAddr>> {
    let mut bytes = vec![0; FIXED];
    stream.read_exact(&mut bytes).await?;
    let length = match bytes.last_chunk() {
        Some(&length) => usize::from(u16::from_be_bytes(length)),
        None => 0,
    };
    if !bytes.starts_with(ppp::v2::PROTOCOL_PREFIX) || length > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.resize(FIXED + length, 0);
    stream
        .read_exact(bytes.get_mut(FIXED..).unwrap_or_default())
        .await?;
    let header = Header::try_from(bytes.as_slice())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(match (header.command, header.addresses) {
        (Command::Proxy, Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
        (Command::Proxy, Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (io::Result<Option<IpAddr>>, usize) {
        let mut rest = bytes;
        let read = read_header(&mut rest).await;
        (read, rest.len())
    }

    fn header(command: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ppp::v2::PROTOCOL_PREFIX.to_vec();
        bytes.extend([command, kind]);
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 1, 0, 1, 187];

    #[tokio::test]
    async fn a_header_tells_for_whom_and_nothing_after_it_is_read() {
        let ipv6 = [&[0x20; 16][..], &[0x30; 16], &[1, 0, 1, 187]].concat();
        let extended = [&IPV4[..], &[4, 0, 2, 1, 1]].concat();
        for (command, kind, payload, wanted) in [
            (0x21, 0x11, &IPV4[..], Some("192.0.2.7")),
            (0x21, 0x11, &extended, Some("192.0.2.7")),
            (
                0x21,
                0x21,
                &ipv6,
                Some("2020:2020:2020:2020:2020:2020:2020:2020"),
            ),
            (0x20, 0x00, &[], None),
            (0x20, 0x11, &IPV4, None),
            (0x21, 0x00, &[], None),
            (0x21, 0x31, &[b'/'; 216], None),
        ] {
            let bytes = [&header(command, kind, payload)[..], b"GET /"].concat();
            let (read, rest) = read(&bytes).await;
            let wanted = wanted.map(|address| address.parse().unwrap());
            assert_eq!((read.unwrap(), rest), (wanted, 5), "{command:x} {kind:x}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_no_header() {
        let good = header(0x21, 0x11, &IPV4);
        for length in 0..good.len() {
            let (read, _) = read(&good[..length]).await;
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        for bytes in [
            header(0x11, 0x11, &IPV4),
            header(0x22, 0x11, &IPV4),
            header(0x21, 0x41, &IPV4),
            header(0x21, 0x11, &IPV4[..11]),
            header(0x21, 0x11, &[0; MOST + 1]),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 256 443\r\n".to_vec(),
            b"GET /cable/new/00 HTTP/1.1\r\n\r\n".to_vec(),
        ] {
            let (read, _) = read(&bytes).await;
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_do_harm(command: u8, kind: u8, payload: Vec<u8>) {
            let bytes = header(command, kind, &payload);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (read, rest) = runtime.block_on(read(&bytes));
            proptest::prop_assert!(read.is_err() || rest == 0);
        }
    }
}
