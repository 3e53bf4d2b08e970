//! Adverts.

use handfast_proto::cbor;
use handfast_proto::hybrid::advert::{
    self, AdvertError, Advertisement, EidPlaintext, OLD_SERVICE_UUID, SERVICE_UUID,
};
use handfast_proto::hybrid::keys::EidKey;

use crate::common::vectors::Node;

pub(crate) fn adverts_open_and_seal_to_the_byte(all: &Node<'_>) {
    for entry in all.at("eid").list("valid") {
        let bytes = entry.array::<64>("eid_key");
        let halves = [entry.bytes("aes_key"), entry.bytes("hmac_key")].concat();
        assert_eq!(halves, bytes);
        let key = EidKey::from_bytes(&bytes);
        let opened: EidPlaintext = advert::open(&key, &entry.bytes("advert")).unwrap();
        let plaintext = entry.bytes("plaintext");
        assert_eq!(opened.to_bytes().to_vec(), plaintext);
        assert_eq!(u64::from(plaintext[0]), entry.number("flags"));
        assert_eq!(opened.nonce.to_vec(), entry.bytes("nonce"));
        assert_eq!(opened.routing.0.to_vec(), entry.bytes("routing_id"));
        assert_eq!(u64::from(opened.domain.0), entry.number("tunnel_domain"));
        let sealed = advert::seal(&key, &opened);
        assert_eq!(sealed.to_vec(), entry.bytes("advert"));
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(advert::open(&key, &bad), Err(AdvertError::Tag), "bit {bit}");
        }
        for length in 0..20 {
            let cut = advert::open(&key, &sealed[..length]);
            assert_eq!(cut, Err(AdvertError::Length), "{length} bytes");
        }
    }
}

/// The real iPhone's advert, of which the entries with more around it are made.
fn real<'v>(all: &Node<'v>) -> Node<'v> {
    all.at("eid").list("valid")[1].clone()
}

pub(crate) fn a_suffix_tells_where_connections_are_taken(all: &Node<'_>) {
    let real = real(all);
    let key = EidKey::from_bytes(&real.array("eid_key"));
    for entry in all.at("eid").list("ctap23_suffix") {
        let (data, suffix) = (entry.bytes("service_data"), entry.bytes("suffix"));
        assert_eq!(data, [real.bytes("advert"), suffix.clone()].concat());
        let opened = advert::open(&key, &data).unwrap();
        assert_eq!(opened.to_bytes().to_vec(), real.bytes("plaintext"));
        let map = cbor::decode(&suffix).unwrap().into_map().unwrap();
        let told = map.iter().map(|(key, value)| {
            let key = key.as_u64().unwrap().to_string();
            (key, serde_json::Value::from(value.as_u64().unwrap()))
        });
        let told: serde_json::Map<_, _> = told.collect();
        assert_eq!(entry.at("map").value().as_object().unwrap(), &told);
        let psm = advert::psm(&data);
        let number = psm.map(|psm| u64::from(psm.get()));
        assert_eq!(number, entry.at("psm").value().as_u64(), "{}", entry.path());
        // Ours have nothing else in their suffix.
        if let (Some(_), 1) = (psm, map.len()) {
            let eid = real.array("advert");
            assert_eq!(Advertisement { eid, psm }.service_data(), data);
        }
    }
}

pub(crate) fn adverts_stand_under_their_uuid_in_service_data(all: &Node<'_>) {
    const SERVICE_DATA: u8 = 0x16;
    const ALL_UUIDS: u8 = 0x03;
    let structures = all.at("eid").at("ble_ad_structures");
    let uuid = SERVICE_UUID.to_le_bytes();
    let advert = real(all).bytes("advert");
    let length = u8::try_from(1 + uuid.len() + advert.len()).unwrap();
    let data = [&[length, SERVICE_DATA], &uuid[..], &advert].concat();
    assert_eq!(data, structures.bytes("service_data_16bit"));
    let list = [&[3, ALL_UUIDS], &uuid[..]].concat();
    assert_eq!(list, structures.bytes("complete_16bit_uuid_list"));
    let used = u64::try_from(data.len() + list.len()).unwrap();
    assert_eq!(used, structures.number("legacy_bytes_used"));
    assert_eq!(OLD_SERVICE_UUID.to_le_bytes(), [0xe2, 0xfd]);
}

pub(crate) fn bad_adverts_are_ignored_for_their_reason(all: &Node<'_>) {
    for entry in all.at("eid").list("invalid") {
        assert_eq!(entry.text("result"), "ignore");
        let key = EidKey::from_bytes(&entry.array("eid_key"));
        let error = match entry.text("name") {
            "tag bit flipped" | "ciphertext bit flipped" => AdvertError::Tag,
            "19 bytes" => AdvertError::Length,
            "valid tag, flags byte 1" => AdvertError::Flags,
            "valid tag, unassigned tunnel domain 255" => AdvertError::UnknownDomain,
            other => panic!("{other} is not checked"),
        };
        let opened = advert::open(&key, &entry.bytes("advert"));
        assert_eq!(opened, Err(error), "{}", entry.path());
    }
}
