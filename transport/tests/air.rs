//! The simulated radio.

use std::path::PathBuf;
use std::time::Duration;

use handfast_transport::radio::{Radio, RadioError};
use tokio::time::timeout;

fn radio(folder: &tempfile::TempDir) -> Radio {
    Radio::Simulated(folder.path().join("air"))
}

async fn hear(scan: &mut handfast_transport::radio::Scan) -> Option<Vec<u8>> {
    timeout(Duration::from_millis(300), scan.next())
        .await
        .ok()
        .map(Result::unwrap)
}

#[tokio::test]
async fn an_advert_is_heard_once_and_ends_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let radio = radio(&folder);
    let mut scan = radio.scan().unwrap();
    let advertising = radio.advertise(&[7; 20]).unwrap();
    assert_eq!(hear(&mut scan).await, Some(vec![7; 20]));
    assert_eq!(hear(&mut scan).await, None);
    drop(advertising);
    assert_eq!(hear(&mut radio.scan().unwrap()).await, None);
}

#[tokio::test]
async fn two_airs_do_not_mix() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _advertising = radio(&here).advertise(&[7; 20]).unwrap();
    assert_eq!(hear(&mut radio(&there).scan().unwrap()).await, None);
}

#[tokio::test]
async fn what_is_no_advert_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let radio = radio(&folder);
    let mut scan = radio.scan().unwrap();
    let air = folder.path().join("air");
    std::fs::write(air.join("note.txt"), "hello").unwrap();
    std::fs::write(air.join("half.tmp"), [1; 20]).unwrap();
    std::fs::write(air.join("huge.advert"), vec![1; 5000]).unwrap();
    std::fs::create_dir(air.join("folder.advert")).unwrap();
    assert_eq!(hear(&mut scan).await, None);
}

#[test]
fn a_radio_is_named() {
    let air = || PathBuf::from("/default");
    assert_eq!(Radio::parse("bluez", air).unwrap(), Radio::Bluez);
    assert_eq!(
        Radio::parse("simulated", air).unwrap(),
        Radio::Simulated("/default".into())
    );
    assert_eq!(
        Radio::parse("simulated=/a", air).unwrap(),
        Radio::Simulated("/a".into())
    );
    for text in ["", "bluez=1", "simulated=", "wifi"] {
        assert!(
            matches!(Radio::parse(text, air), Err(RadioError::Unknown(_))),
            "{text}"
        );
    }
}
