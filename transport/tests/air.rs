//! The simulated radio.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::time::Duration;

use handfast_proto::hybrid::Psm;
use handfast_proto::hybrid::advert::{self, Advertisement};
use handfast_transport::channel::ChannelEnd;
use handfast_transport::radio::{Heard, Radio, RadioError};
use tokio::time::timeout;

const ADVERT: Advertisement = Advertisement {
    eid: [7; 20],
    psm: None,
};

fn radio(folder: &tempfile::TempDir) -> Radio {
    Radio::Simulated(folder.path().join("air"))
}

async fn hear(scan: &mut handfast_transport::radio::Scan) -> Option<Vec<u8>> {
    timeout(Duration::from_millis(300), scan.next())
        .await
        .ok()
        .map(|heard| match heard.unwrap() {
            Heard::Advert { service_data, .. } => service_data,
            other => panic!("{other:?}"),
        })
}

#[tokio::test]
async fn an_advert_is_heard_once_and_ends_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let radio = radio(&folder);
    let mut scan = radio.scan().await.unwrap();
    let advertising = radio.advertise(&ADVERT).await.unwrap();
    assert_eq!(hear(&mut scan).await, Some(vec![7; 20]));
    assert_eq!(hear(&mut scan).await, None);
    drop(advertising);
    assert_eq!(hear(&mut radio.scan().await.unwrap()).await, None);
}

#[tokio::test]
async fn two_airs_do_not_mix() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _advertising = radio(&here).advertise(&ADVERT).await.unwrap();
    assert_eq!(hear(&mut radio(&there).scan().await.unwrap()).await, None);
}

#[tokio::test]
async fn what_is_no_advert_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let radio = radio(&folder);
    let mut scan = radio.scan().await.unwrap();
    let air = folder.path().join("air");
    fs::write(air.join("note.txt"), "hello").unwrap();
    fs::write(air.join("half.tmp"), [1; 20]).unwrap();
    fs::write(air.join("huge.advert"), vec![1; 5000]).unwrap();
    fs::create_dir(air.join("folder.advert")).unwrap();
    fs::write(folder.path().join("elsewhere"), [1; 20]).unwrap();
    symlink(folder.path().join("elsewhere"), air.join("link.advert")).unwrap();
    assert_eq!(hear(&mut scan).await, None);
}

/// Opens an air for both uses, and returns why that is refused.
async fn refusal(radio: &Radio) -> String {
    let words = |error: RadioError| match error {
        RadioError::Air { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let advertising = words(radio.advertise(&ADVERT).await.unwrap_err());
    assert_eq!(words(radio.scan().await.unwrap_err()), advertising);
    advertising
}

#[tokio::test]
async fn an_air_that_is_made_is_for_its_maker_alone() {
    let folder = tempfile::tempdir().unwrap();
    let air = folder.path().join("above").join("air");
    for radio in [Radio::Simulated(air.clone()), Radio::SimulatedOwn(air)] {
        let _advertising = radio.advertise(&ADVERT).await.unwrap();
        let mut scan = radio.scan().await.unwrap();
        assert_eq!(hear(&mut scan).await, Some(vec![7; 20]));
    }
    for made in ["above", "above/air"] {
        let mode = fs::metadata(folder.path().join(made)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
}

#[tokio::test]
async fn an_air_that_was_opened_for_others_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let air = folder.path().join("air");
    fs::create_dir(&air).unwrap();
    fs::set_permissions(&air, fs::Permissions::from_mode(0o777)).unwrap();
    let radio = Radio::Simulated(air.clone());
    let _advertising = radio.advertise(&ADVERT).await.unwrap();
    assert_eq!(fs::metadata(&air).unwrap().mode() & 0o777, 0o777);
}

#[tokio::test]
async fn a_link_is_no_air() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    fs::create_dir(folder.path().join("victim")).unwrap();
    symlink(folder.path().join("victim"), &link).unwrap();
    for name in ["link", "link/", "link/."] {
        let air = folder.path().join(name);
        for radio in [Radio::Simulated(air.clone()), Radio::SimulatedOwn(air)] {
            assert_eq!(refusal(&radio).await, "it is a symbolic link", "{radio}");
        }
    }
    let inside = fs::read_dir(folder.path().join("victim")).unwrap();
    assert_eq!(inside.count(), 0);
}

#[tokio::test]
async fn an_air_that_nobody_named_is_not_somebody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let mut foreign = folder.path().to_owned();
    // Only root can give a folder away; to everybody else the root folder is foreign.
    let root = fs::metadata(&foreign).unwrap().uid() == 0;
    if root {
        chown(&foreign, Some(1), None).unwrap();
    } else {
        foreign = PathBuf::from("/");
    }
    let words = refusal(&Radio::SimulatedOwn(foreign.clone())).await;
    assert_eq!(words, "it belongs to somebody else");
    Radio::Simulated(foreign).scan().await.unwrap();
}

#[tokio::test]
async fn names_on_the_air_cannot_be_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let radio = radio(&folder);
    let names = async || -> Vec<String> {
        let _advertising = radio.advertise(&ADVERT).await.unwrap();
        fs::read_dir(folder.path().join("air"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let (first, second) = (names().await, names().await);
    assert_eq!((first.len(), second.len()), (1, 1));
    // Two processes of one number, or two adverts in a row: nothing of a name comes again.
    let digits = |name: &str| name.strip_suffix(".advert").map(str::len);
    assert_eq!(digits(&first[0]), Some(16));
    assert_ne!(first[0][..8], second[0][..8]);
    assert_ne!(first[0][8..16], second[0][8..16]);
}

#[test]
fn a_radio_is_named() {
    let air = || PathBuf::from("/default");
    assert_eq!(
        Radio::parse("bluez", None, air).unwrap(),
        Radio::Bluez(None)
    );
    assert_eq!(
        Radio::parse("simulated", None, air).unwrap(),
        Radio::SimulatedOwn("/default".into())
    );
    assert_eq!(
        Radio::parse("simulated=/a", None, air).unwrap(),
        Radio::Simulated("/a".into())
    );
    for text in ["", "bluez=1", "simulated=", "wifi"] {
        assert!(
            matches!(Radio::parse(text, None, air), Err(RadioError::Unknown(_))),
            "{text}"
        );
    }
    let named = Radio::parse("bluez", Some("hci1"), air).unwrap();
    assert_eq!(named.to_string(), "Bluetooth adapter hci1");
    for name in ["", "hci 0", "../hci0", "hci0/dev_00", "hci\u{e9}"] {
        let parsed = Radio::parse("bluez", Some(name), air);
        assert!(matches!(parsed, Err(RadioError::AdapterName(_))), "{name}");
    }
    let parsed = Radio::parse("simulated", Some("hci0"), air);
    assert!(matches!(parsed, Err(RadioError::NoAdapterHere)));
}

/// A phone that takes connections, and who hears its advert connects.
async fn linked(
    radio: &Radio,
) -> (
    handfast_transport::channel::Channel,
    handfast_transport::channel::Channel,
) {
    let listener = radio.listen().await.unwrap();
    let advert = Advertisement {
        psm: Some(listener.psm()),
        ..ADVERT
    };
    let _advertising = radio.advertise(&advert).await.unwrap();
    let heard = radio.scan().await.unwrap().next().await.unwrap();
    let Heard::Advert {
        service_data,
        sender,
    } = heard
    else {
        panic!("{heard:?}");
    };
    let psm = advert::psm(&service_data).unwrap();
    assert_eq!(psm, listener.psm());
    let computer = sender.connect(psm).await.unwrap();
    (computer, listener.accept().await.unwrap())
}

#[tokio::test]
async fn a_message_comes_in_one_unit_or_in_several() {
    let folder = tempfile::tempdir().unwrap();
    let (mut computer, mut phone) = linked(&radio(&folder)).await;
    for length in [1, 81, 672, 673, 5000, 300_000] {
        let message = vec![5; length];
        let sending = computer.send(message.clone());
        let receiving = async {
            let mut units = Vec::new();
            while units.iter().map(Vec::len).sum::<usize>() < length {
                units.push(phone.recv().await.unwrap());
            }
            units
        };
        let (sent, units) = tokio::join!(sending, receiving);
        sent.unwrap();
        assert_eq!(units.len(), length.div_ceil(672));
        assert_eq!(units.concat(), message);
    }
}

#[tokio::test]
async fn who_leaves_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let (computer, mut phone) = linked(&radio(&folder)).await;
    computer.close().await;
    let end = phone.recv().await.unwrap_err();
    assert!(matches!(end, ChannelEnd::Closed(None)), "{end}");
    let end = phone.send(vec![1]).await.unwrap_err();
    assert!(matches!(end, ChannelEnd::Closed(None)), "{end}");
}

#[tokio::test]
async fn nobody_answers_where_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let radio = radio(&folder);
    let _advertising = radio.advertise(&ADVERT).await.unwrap();
    let Heard::Advert { sender, .. } = radio.scan().await.unwrap().next().await.unwrap() else {
        panic!("an advert is on the air");
    };
    let nobody = sender.clone().connect(Psm::new(0x80).unwrap()).await;
    assert!(nobody.is_err());
    // Nor does anybody where somebody was until a moment ago.
    let psm = radio.listen().await.unwrap().psm();
    assert!(sender.connect(psm).await.is_err());
}

#[tokio::test]
async fn two_phones_take_connections_at_different_places() {
    let folder = tempfile::tempdir().unwrap();
    let radio = radio(&folder);
    let (one, other) = (radio.listen().await.unwrap(), radio.listen().await.unwrap());
    assert_ne!(one.psm(), other.psm());
}
