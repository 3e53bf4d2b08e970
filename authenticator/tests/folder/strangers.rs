//! Files that somebody else put into the folder: named, left out, and cheap.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use super::*;

/// Makes a pipe; nobody ever writes to it.
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn strangers_files_are_named_and_left_out_and_no_pipe_is_waited_for() {
    let phone = Device::first();
    let mut vault = phone.open("first");
    vault.store(passkey(1, "ana", 1)).unwrap();
    vault.publish(b"of the group").unwrap();
    let other = Device::first();
    other.open("first").store(passkey(2, "bob", 1)).unwrap();
    let secret = phone.folder.path().join("secret");
    fs::write(&secret, b"not in the vault").unwrap();
    let mut expected = Vec::new();
    for kind in ["passkeys", "devices", "group"] {
        let folder = phone.vault().join(kind);
        fs::create_dir_all(&folder).unwrap();
        let mut place = |name: &str, why: &'static str| {
            let path = folder.join(name);
            expected.push((path.clone(), why));
            path
        };
        let huge = fs::File::create(place("huge", "it is larger than any file of a vault"));
        huge.unwrap().set_len(1 << 40).unwrap();
        let link = "it is a link, a folder or a pipe";
        symlink(&secret, place("link", link)).unwrap();
        symlink("/dev/zero", place("endless", link)).unwrap();
        symlink("nowhere", place("dangling", link)).unwrap();
        pipe(&place("pipe", link));
        fs::create_dir(place("folder", link)).unwrap();
        let foreign = "it is no file of a vault";
        fs::write(place("text", foreign), b"hello").unwrap();
        fs::write(place("empty", foreign), b"").unwrap();
        fs::write(place("deep", foreign), vec![0x81; 200_000]).unwrap();
        // A map that claims four billion entries, a list of as many, a text of as many bytes.
        for (name, head) in [("map", 0xba), ("list", 0x9a), ("words", 0x7a)] {
            fs::write(place(name, foreign), [head, 255, 255, 255, 255, 0, 0]).unwrap();
        }
        // As many small items as fit.
        let mut many = vec![0x9a, 0, 3, 0, 0];
        many.resize(5 + 0x30000, 0);
        fs::write(place("many", foreign), many).unwrap();
        let of_other = other.files("passkeys").remove(0);
        let path = place("other", "it is damaged, or of another vault");
        fs::copy(of_other, path).unwrap();
        // A file of this vault, but in the folder of another kind.
        let from = match kind {
            "passkeys" => "group",
            _ => "passkeys",
        };
        let own = phone.files(from);
        let own = own
            .iter()
            .find(|path| path.file_name().unwrap().len() == 32);
        let path = place("kind", "it is damaged, or of another vault");
        fs::copy(own.unwrap(), path).unwrap();
    }
    let begin = Instant::now();
    let mut vault = phone.open("first");
    let mut named = damaged(&vault);
    expected.sort();
    named.sort();
    assert_eq!(named, expected);
    assert_eq!(usable(&vault), [1]);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    // A rekey leaves them as they are.
    assert_eq!(rekey(&mut vault, "second"), 2);
    assert_eq!(damaged(&phone.open("second")).len(), expected.len());
    assert_eq!(fs::read(&secret).unwrap(), b"not in the vault");
}

#[test]
fn a_stranger_beside_the_header_hides_nothing() {
    let phone = Device::first();
    let other = Device::first();
    let place = |name: &str| phone.vault().join(name);
    pipe(&place("a-pipe.handfast"));
    symlink("/dev/zero", place("a-link.handfast")).unwrap();
    fs::create_dir(place("a-folder.handfast")).unwrap();
    let huge = fs::File::create(place("a-huge.handfast")).unwrap();
    huge.set_len(1 << 40).unwrap();
    fs::write(place("a-text.handfast"), b"hello").unwrap();
    fs::copy(other.header(), place("a-vault.handfast")).unwrap();
    let mut cut = fs::read(phone.header()).unwrap();
    cut.truncate(80);
    fs::write(place("a-cut.handfast"), cut).unwrap();
    let mut vault = phone.open("first");
    let mut named = damaged(&vault);
    named.sort();
    assert_eq!(
        named,
        [
            (place("a-cut.handfast"), "it is a damaged header"),
            (
                place("a-vault.handfast"),
                "it is the header of another vault"
            ),
        ],
        "what is no header at all is its owner's"
    );
    vault.settle().unwrap();
    change(&mut vault, "second");
    phone.open("second");
    assert_eq!(
        fs::read_dir(phone.vault()).unwrap().count(),
        8,
        "nothing else was touched"
    );
}

#[test]
fn a_header_of_a_higher_number_that_nobody_can_open_is_named_and_refused_work() {
    let phone = Device::first();
    let laptop = Device::with_vault_of(&phone, "laptop");
    change(&mut laptop.open("first"), "stranger's");
    let placed = phone.vault().join("placed.handfast");
    fs::copy(laptop.header(), &placed).unwrap();
    let opened = phone.try_open("first");
    assert!(
        matches!(&opened, Err(VaultError::Superseded(path)) if *path == placed),
        "{opened:?}"
    );
    fs::remove_file(placed).unwrap();
    phone.open("first");
}

#[test]
fn a_damaged_header_is_no_end_while_a_conflict_copy_is_whole() {
    let phone = Device::first();
    let copied = phone
        .vault()
        .join("vault.sync-conflict-20261128-101112-ABCDEFG.handfast");
    fs::copy(phone.header(), &copied).unwrap();
    for damage in [&b"torn"[..], b""] {
        fs::write(phone.header(), damage).unwrap();
        let vault = phone.open("first");
        assert_eq!(
            damaged(&vault),
            [(phone.header(), "it is a damaged header")]
        );
    }
    fs::remove_file(&copied).unwrap();
    assert!(matches!(
        phone.try_open("first"),
        Err(VaultError::HeaderDamaged)
    ));
    assert!(
        Vault::exists(&phone.vault()),
        "it is no place for a new vault"
    );
    fs::remove_file(phone.header()).unwrap();
    pipe(&phone.header());
    assert!(matches!(
        phone.try_open("first"),
        Err(VaultError::HeaderDamaged)
    ));
    assert!(Vault::exists(&phone.vault()));
}

#[test]
fn what_a_crash_left_is_removed_when_it_is_nobodys_work_any_more() {
    let phone = Device::first();
    phone.open("first").store(passkey(1, "ana", 1)).unwrap();
    let folder = phone.vault().join("passkeys");
    let [old, new, foreign] = [".handfast-old", ".handfast-new", ".foreign"].map(|name| {
        let path = folder.join(name);
        fs::write(&path, b"half").unwrap();
        path
    });
    let days_ago = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    for path in [&old, &foreign] {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(days_ago).unwrap();
    }
    let mut vault = phone.open("first");
    vault.settle().unwrap();
    assert!(!old.exists());
    assert!(new.exists(), "another program may be writing it");
    assert!(foreign.exists());
    assert_eq!(usable(&vault), [1]);
    assert_eq!(damaged(&vault), []);
}
