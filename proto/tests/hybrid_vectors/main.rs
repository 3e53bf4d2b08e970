//! Every value of `hybrid.json`: checked here, or named with the reason why not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![cfg(feature = "hybrid")]

#[path = "../common/mod.rs"]
mod common;

mod adverts;
mod channel;
mod codes;
mod session;

use common::vectors::Vectors;

macro_rules! checks {
    ($($module:ident::$check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                $module::$check(&Vectors::read("hybrid.json").root());
            }
        )*

        #[test]
        fn every_value_is_checked_or_named() {
            let vectors = Vectors::read("hybrid.json");
            $($module::$check(&vectors.root());)*
            let linking = "linking is not built yet";
            vectors.root().at("phone_identity_key").skip(linking);
            let sessions = vectors.root().list("sessions");
            sessions[0].at("linking").skip(linking);
            sessions[1].skip(linking);
            vectors.assert_all_seen();
        }
    };
}

checks! {
    adverts::a_suffix_tells_where_connections_are_taken,
    adverts::adverts_open_and_seal_to_the_byte,
    adverts::adverts_stand_under_their_uuid_in_service_data,
    adverts::bad_adverts_are_ignored_for_their_reason,
    channel::messages_in_one_stream_are_told_apart_by_what_they_are,
    channel::old_constructions_are_refused,
    channel::padding_is_read_generously_but_never_beyond_the_message,
    channel::post_handshake_messages_of_others_are_read,
    channel::transport_messages_are_sealed_and_opened_to_the_byte,
    codes::digits_stand_for_bytes_both_ways,
    codes::purposes_derive_their_keys,
    codes::qr_codes_of_others_are_read,
    codes::qr_maps_follow_chromiums_rules,
    codes::tunnel_domains_have_their_hosts,
    codes::what_is_no_code_is_refused_for_its_reason,
    session::a_recorded_session_of_a_real_iphone_is_understood,
    session::any_flipped_bit_of_any_frame_of_a_session_is_rejected,
    session::the_qr_session_is_reproduced_to_the_byte,
}
