//! Every value of `trust-group.json`: checked here as far as the protocol goes, or named with the
//! reason why not.
#![cfg(feature = "trust")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod attested;
mod cmtg;
mod design;
mod messages;

use common::vectors::Vectors;

macro_rules! checks {
    ($($module:ident::$check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                $module::$check(&Vectors::read("trust-group.json").root());
            }
        )*

        #[test]
        fn every_value_is_checked_or_named() {
            let vectors = Vectors::read("trust-group.json");
            $($module::$check(&vectors.root());)*
            name_the_rest(&vectors);
            vectors.assert_all_seen();
        }
    };
}

checks! {
    attested::device_keys_are_made_to_the_byte_and_read_or_not_for_their_reason,
    attested::supplemental_keys_are_made_to_the_byte_and_read_or_not_for_their_reason,
    cmtg::group_keys_are_read_and_their_signatures_hold_or_not_for_their_reason,
    design::a_join_is_reproduced_to_the_byte,
    design::a_wrapped_key_is_reproduced_to_the_byte_and_opens_only_as_it_was_sealed,
    design::what_is_derived_and_sealed_is_what_the_design_says,
    messages::ctap_messages_are_read_and_written_to_the_byte,
    messages::keys_have_their_forms,
    messages::map_keys_stand_in_the_order_of_ctap2,
    messages::the_oldest_presented_key_is_selected,
}

fn name_the_rest(vectors: &Vectors) {
    let all = vectors.root();
    let export = "checked in the tests of the authenticator's exports and imports";
    all.at("cxfSample").skip(export);
    for (name, value) in all.at("meta").members() {
        match name {
            "aaguid" | "deviceAaguid" | "rpId" => {}
            "attestationCaCert" => value.skip("checked in the relying party's tests"),
            _ => value.skip("tells how the file was made and is to be read"),
        }
    }
}
