use super::*;

/// What is to come of an origin and the RP ID that its options name.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Use(&'static str),
    Address,
    Insecure,
    Malformed,
    NoDomain,
    PublicSuffix,
    Unrelated,
}
use Rule::{Address, Insecure, Malformed, NoDomain, PublicSuffix, Unrelated, Use};

fn holds(rows: &[(&str, Option<&str>, Rule)]) {
    for (origin, wanted, rule) in rows {
        let got = Origin::parse(origin).and_then(|origin| origin.rp_id(*wanted));
        let fits = match (&got, rule) {
            (Ok(rp_id), Use(expected)) => rp_id.as_str() == *expected,
            (Err(OriginError::IpAddress(_)), Address)
            | (Err(OriginError::Insecure(_)), Insecure)
            | (Err(OriginError::Malformed(_)), Malformed)
            | (Err(OriginError::NoDomain(_)), NoDomain)
            | (Err(OriginError::PublicSuffix(_)), PublicSuffix)
            | (Err(OriginError::Unrelated { .. }), Unrelated) => true,
            _ => false,
        };
        assert!(fits, "{origin:?} {wanted:?}: {got:?}, not {rule:?}");
    }
}

#[test]
fn an_origin_uses_its_domain_or_a_suffix_that_one_owner_has() {
    holds(&[
        ("https://login.example.org", None, Use("login.example.org")),
        (
            "https://login.example.org",
            Some("login.example.org"),
            Use("login.example.org"),
        ),
        (
            "https://login.example.org",
            Some("example.org"),
            Use("example.org"),
        ),
        (
            "https://a.b.c.example.org",
            Some("c.example.org"),
            Use("c.example.org"),
        ),
        (
            "https://a.example.co.uk",
            Some("example.co.uk"),
            Use("example.co.uk"),
        ),
    ]);
}

#[test]
fn what_is_no_suffix_at_a_dot_does_not_belong_to_the_origin() {
    holds(&[
        ("https://login.example.org", Some("other.org"), Unrelated),
        ("https://example.org", Some("login.example.org"), Unrelated),
        ("https://notexample.org", Some("example.org"), Unrelated),
        ("https://example.org", Some("xample.org"), Unrelated),
        ("https://example.org", Some(".org"), Unrelated),
        ("https://a.example.org", Some(".example.org"), Unrelated),
        (
            "https://example.org.evil.net",
            Some("example.org"),
            Unrelated,
        ),
        ("https://example.org", Some("example.org."), Unrelated),
        ("https://example.org", Some("localhost"), Unrelated),
    ]);
}

#[test]
fn a_public_suffix_is_nobodys_whether_it_is_named_or_the_default() {
    holds(&[
        ("https://example.org", Some("org"), PublicSuffix),
        ("https://a.example.co.uk", Some("co.uk"), PublicSuffix),
        ("https://co.uk", None, PublicSuffix),
        ("https://me.github.io", Some("github.io"), PublicSuffix),
        ("https://me.github.io", None, Use("me.github.io")),
        ("https://github.io", None, PublicSuffix),
        ("https://github.io", Some("github.io"), PublicSuffix),
        ("https://org", None, PublicSuffix),
        // A wildcard of the list, and an exception to it.
        ("https://any.ck", None, PublicSuffix),
        ("https://site.any.ck", None, Use("site.any.ck")),
        ("https://www.ck", None, Use("www.ck")),
        // One label, though nobody has listed it.
        ("https://intranet", None, PublicSuffix),
        ("https://wiki.intranet", None, Use("wiki.intranet")),
    ]);
}

#[test]
fn names_are_compared_in_lower_case_ascii() {
    holds(&[
        (
            "https://LOGIN.Example.org",
            Some("Example.ORG"),
            Use("example.org"),
        ),
        ("HTTPS://Example.org", None, Use("example.org")),
        ("https://bücher.example", None, Use("xn--bcher-kva.example")),
        ("https://BÜCHER.example", None, Use("xn--bcher-kva.example")),
        (
            "https://shop.xn--bcher-kva.example",
            Some("bücher.example"),
            Use("xn--bcher-kva.example"),
        ),
        (
            "https://shop.bücher.example",
            Some("xn--bcher-kva.example"),
            Use("xn--bcher-kva.example"),
        ),
        ("https://bücher.example", Some("bucher.example"), Unrelated),
        ("https://example。org", None, Use("example.org")),
        ("https://xn--a.example", None, Malformed),
        ("https://example.org", Some("xn--a"), NoDomain),
    ]);
}

#[test]
fn numeric_addresses_have_no_rp_id_however_they_are_written() {
    holds(&[
        ("https://127.0.0.1", None, Address),
        ("https://127.0.0.1:8443", Some("example.org"), Address),
        ("http://127.0.0.1", None, Address),
        ("https://[::1]:8443", None, Address),
        ("https://[2001:db8::1]", None, Address),
        ("https://0x7f.1", None, Address),
        ("https://2130706433", None, Address),
        ("https://127.0.0.1.", None, Address),
        ("https://a.127.0.0.1", None, Malformed),
        ("https://example.org", Some("127.0.0.1"), Address),
        ("https://example.org", Some("[::1]"), Address),
    ]);
}

#[test]
fn plain_http_and_names_of_one_label_are_for_this_machine_only() {
    holds(&[
        ("http://localhost", None, Use("localhost")),
        ("http://localhost:8080", Some("localhost"), Use("localhost")),
        ("https://localhost:8443", None, Use("localhost")),
        ("http://LOCALHOST", None, Use("localhost")),
        ("http://localhost", Some("example.org"), Unrelated),
        ("http://a.localhost", None, Use("a.localhost")),
        (
            "http://a.b.localhost:8080",
            Some("b.localhost"),
            Use("b.localhost"),
        ),
        ("http://a.localhost", Some("localhost"), PublicSuffix),
        ("http://a.localhost", Some("b.localhost"), Unrelated),
        ("http://localhost", Some("a.localhost"), Unrelated),
        ("http://alocalhost", None, Insecure),
        ("http://.localhost", None, Malformed),
        ("http://localhost.example", None, Insecure),
        ("http://example.org", None, Insecure),
        ("https://a.localhost", Some("localhost"), PublicSuffix),
        ("https://a.localhost", None, Use("a.localhost")),
    ]);
}

#[test]
fn an_origin_is_a_scheme_a_name_and_perhaps_a_port() {
    holds(&[
        ("https://example.org/", None, Use("example.org")),
        ("https://example.org:65535", None, Use("example.org")),
        ("https://example.org:65536", None, Malformed),
        ("https://example.org:port", None, Malformed),
        ("https://example.org//", None, Malformed),
        ("https://example.org/login", None, Malformed),
        ("https://example.org?", None, Malformed),
        ("https://example.org/?q", None, Malformed),
        ("https://example.org#", None, Malformed),
        ("https://u@example.org", None, Malformed),
        ("https://u:p@example.org", None, Malformed),
        ("https://@example.org", None, Malformed),
        ("https://:@example.org", None, Malformed),
        ("https://example.org@evil.example", None, Malformed),
        ("https://example.org\\@evil.example", None, Malformed),
        ("https:\\\\example.org", None, Malformed),
        ("https:example.org", None, Malformed),
        ("https:///example.org", None, Malformed),
        (" https://example.org", None, Malformed),
        ("https://example.org\n", None, Malformed),
        ("https://exam\tple.org", None, Malformed),
        ("https://example.org.", None, Malformed),
        ("https://example..org", None, Malformed),
        ("https://.example.org", None, Malformed),
        ("https://exa\"mple.org", None, NoDomain),
        ("https://exa%20mple.org", None, Malformed),
        ("ftp://example.org", None, Malformed),
        ("wss://example.org", None, Malformed),
        ("file:///example.org", None, Malformed),
        ("example.org", None, Malformed),
        ("null", None, Malformed),
        ("https://", None, Malformed),
        ("", None, Malformed),
    ]);
}

#[test]
fn an_rp_id_is_a_domain_and_nothing_else() {
    holds(&[
        ("https://example.org", Some(""), NoDomain),
        ("https://example.org", Some("example.org:443"), NoDomain),
        ("https://example.org", Some("https://example.org"), NoDomain),
        ("https://example.org", Some("example.org/"), NoDomain),
        ("https://example.org", Some("u@example.org"), NoDomain),
        ("https://example.org", Some("example org"), NoDomain),
        ("https://example.org", Some("*.example.org"), NoDomain),
    ]);
}

#[test]
fn client_data_get_the_origin_with_its_port_unless_that_is_the_schemes_own() {
    for (text, serialized) in [
        ("https://Example.org:443/", "https://example.org"),
        ("https://example.org:8443", "https://example.org:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ] {
        assert_eq!(Origin::parse(text).unwrap().as_str(), serialized, "{text}");
    }
}

#[test]
fn a_name_below_localhost_is_found_on_this_computer() {
    for (origin, here) in [
        ("http://localhost:8080", Some("http://localhost:8080")),
        ("http://bank.localhost:8081", Some("http://localhost:8081")),
        ("http://bank.localhost", Some("http://localhost")),
        ("https://bank.localhost", None),
        ("https://example.org", None),
    ] {
        let origin = Origin::parse(origin).unwrap();
        assert_eq!(origin.here().as_deref(), here, "{origin}");
    }
}
