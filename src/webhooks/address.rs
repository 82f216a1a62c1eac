//! Pure: where a webhook may go: never into the house that sends it.
//!
//! What a brand writes into a field makes this server ask that address, so names are judged by what they lead to, at every
//! connection ([`super::sender`]), and addresses by the IANA registries of special-purpose addresses (RFC 6890): only
//! those that anybody on the Internet may reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Characters of an address.
const MAX_URL: usize = 500;

/// Whether everybody on the Internet reaches it.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        // Shared by a provider's customers; protocol assignments; 6to4 relays; benchmarks; reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    // Of what is given out (2000::/3), less protocol assignments and Teredo (2001::/23), documentation, and 6to4, which
    // bears an IPv4 address.
    (0x2000..0x4000).contains(&a)
        && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
        && a != 0x2002
        && !(a == 0x3fff && b < 0x1000)
}

/// The address of an endpoint, or what is wrong with it. `private`: this house lets webhooks go anywhere, also over HTTP.
pub(super) fn parse(text: &str, private: bool) -> Result<Url, String> {
    if text.len() > MAX_URL {
        return Err(format!("url: at most {MAX_URL} characters"));
    }
    let url =
        Url::parse(text).map_err(|_| "url must be an address such as https://shop.example/webhooks".to_owned())?;
    let allowed = url.scheme() == "https" || (private && url.scheme() == "http");
    if !allowed {
        return Err("url must begin with https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url must not hold a user or password; messages are signed".to_owned());
    }
    if url.fragment().is_some() {
        return Err("url must not have a part after #".to_owned());
    }
    if !private && leads_inside(&url) {
        return Err("url must lead to a public address".to_owned());
    }
    Ok(url)
}

/// Whether the text itself says that it is no public address; a name is judged by what it leads to.
fn leads_inside(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => !is_public(ip),
        // Names of one's own network: of one part, and what RFC 6761, RFC 6762 and ICANN keep for that.
        Err(_) => {
            let last = host.rsplit_once('.').map(|(_, last)| last);
            last.is_none_or(|last| ["localhost", "local", "internal"].contains(&last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_reaches_is_public() {
        let inside = "0.0.0.0 10.1.2.3 100.64.0.1 100.127.255.255 127.0.0.1 127.8.8.8 169.254.169.254 172.16.0.1
            172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.9
            224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::a00:1 100::1 2001::1
            2001:db8::1 2002:7f00:1::1 3fff::1 fc00::1 fd12::1 fe80::1 fec0::1 ff02::1 5f00::1";
        for text in inside.split_whitespace() {
            assert!(!is_public(text.parse().expect(text)), "{text}");
        }
        let outside =
            "1.1.1.1 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 198.20.0.1 223.255.255.255
            2606:4700::1 2001:4860:4860::8888 2400:cb00::1 ::ffff:8.8.8.8";
        for text in outside.split_whitespace() {
            assert!(is_public(text.parse().expect(text)), "{text}");
        }
    }

    #[test]
    fn an_address_is_https_and_leads_outside() {
        for good in ["https://shop.example/hooks?from=hanamichi", "https://1.1.1.1:8443/", "https://店.jp/受信"] {
            assert!(parse(good, false).is_ok(), "{good}");
        }
        for bad in [
            "shop.example",
            "http://shop.example/",
            "ftp://shop.example/",
            "https://user:pass@shop.example/",
            "https://shop.example/#part",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://db/",
            "https://a.localhost/",
            "https://printer.local/",
            "https://metadata.google.internal/",
            "https://127.0.0.1/",
            // The same, in ways that browsers understand.
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
        ] {
            assert!(parse(bad, false).is_err(), "{bad}");
        }
        assert!(parse(&format!("https://shop.example/{}", "x".repeat(500)), false).is_err());
        assert!(parse("http://127.0.0.1:9/", true).is_ok());
        assert!(parse("file:///etc/passwd", true).is_err());
    }
}
