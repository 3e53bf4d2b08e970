//! The vault as its owner keeps it: pass phrases, keys, backups, a killed process, a full disk.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use handfast_authenticator::passphrase::Passphrase;
use handfast_authenticator::vault::{Passkey, Vault};
use handfast_demo::stage::{Finished, Home, Program, Stage};
use handfast_proto::cose::{Algorithm, SigningKey};
use handfast_proto::ids::{CredentialId, RpId, UserHandle};
use handfast_tests::{PASSPHRASE, PIN, finish, phone, stage, told};
use rand_core::OsRng;

const NEW: &str = "meadow tunnel saffron glacier pencil ribbon";

/// Adds passkeys to a home's vault, as if they had been made.
fn fill(home: &Home, count: u32) {
    let mut vault = Vault::open(&home.vault(), &Passphrase::new(PASSPHRASE)).unwrap();
    let key = SigningKey::generate(Algorithm::Es256, &mut OsRng);
    for number in 0..count {
        let id = CredentialId::from_bytes(&number.to_be_bytes()).unwrap();
        let site = RpId::parse("example.org").unwrap();
        let user = UserHandle::from_bytes(&number.to_be_bytes()).unwrap();
        vault
            .store(Passkey::new(id, site, user, &key, 1).unwrap())
            .unwrap();
    }
}

fn new_passphrase(home: &Home) -> PathBuf {
    home.passphrase().with_extension("new")
}

/// A command of the phone, whose new pass phrase is in a file.
fn command(stage: &Stage, home: &Home, words: &[&str]) -> Command {
    let new = new_passphrase(home);
    fs::write(&new, NEW).unwrap();
    let mut command = stage.command(Program::Phone, home, words);
    command.env("HANDFAST_NEW_PASSPHRASE_FILE", new);
    command
}

fn passkeys(stage: &Stage, home: &Home) -> usize {
    let list = stage.command(Program::Phone, home, &["passkeys", "list", "--json"]);
    let list = finish(list, "");
    assert_eq!(list.code, 0, "{list:?}");
    list.json().unwrap().as_array().unwrap().len()
}

fn done(finished: &Finished, word: &str) {
    assert_eq!(finished.code, 0, "{finished:?}");
    assert!(finished.out.contains(word), "“{word}” in {}", finished.out);
}

#[test]
fn a_pass_phrase_is_changed_and_then_the_old_one_is_wrong() {
    let stage = stage();
    let home = phone(&stage, "phone");
    fill(&home, 2);
    done(
        &finish(command(&stage, &home, &["vault", "passphrase"]), ""),
        "Copies of the folder from before still open with the old one",
    );
    let list = ["passkeys", "list"];
    told(
        &finish(command(&stage, &home, &list), ""),
        1,
        "pass phrase is wrong",
    );
    fs::write(home.passphrase(), NEW).unwrap();
    assert_eq!(passkeys(&stage, &home), 2);
    // By hand: the old one, then the new one twice, and once more because of a slip.
    let mut by_hand = stage.command(Program::Phone, &home, &["vault", "passphrase"]);
    by_hand.env_remove("HANDFAST_PASSPHRASE_FILE");
    let typed = format!("{NEW}\n{PASSPHRASE}\nsomething else\n{PASSPHRASE}\n{PASSPHRASE}\n");
    let finished = finish(by_hand, &typed);
    done(&finished, "The pass phrase is changed");
    assert!(
        finished
            .err
            .contains("The two pass phrases are not the same.")
    );
    assert!(finished.err.contains("Write down these six words"));
    fs::write(home.passphrase(), PASSPHRASE).unwrap();
    assert_eq!(passkeys(&stage, &home), 2);
}

#[test]
fn who_leaves_before_the_new_pass_phrase_is_there_has_changed_nothing() {
    let stage = stage();
    let home = phone(&stage, "phone");
    let header = fs::read(home.vault().join("vault.handfast")).unwrap();
    for words in [["vault", "passphrase"], ["vault", "rekey"]] {
        let short = command(&stage, &home, &words);
        fs::write(new_passphrase(&home), "short").unwrap();
        told(&finish(short, ""), 2, "at least 12 characters");
        let mut nobody = command(&stage, &home, &words);
        nobody.env_remove("HANDFAST_NEW_PASSPHRASE_FILE");
        told(&finish(nobody, ""), 2, "No new pass phrase was given");
    }
    let same = command(&stage, &home, &["vault", "rekey"]);
    fs::write(new_passphrase(&home), PASSPHRASE).unwrap();
    told(&finish(same, ""), 2, "is the old one");
    assert_eq!(
        fs::read(home.vault().join("vault.handfast")).unwrap(),
        header
    );
}

#[test]
fn a_rekey_that_is_killed_goes_on_when_the_vault_is_opened_next() {
    const PASSKEYS: u32 = 100;
    let stage = stage();
    let mut cut_off = 0;
    for moment in 0..3 {
        let home = phone(&stage, &format!("phone {moment}"));
        fill(&home, PASSKEYS);
        let header = home.vault().join("vault.handfast");
        let old = fs::read(&header).unwrap();
        let folder = home.vault().join("passkeys");
        let before: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        let mut rekey = command(&stage, &home, &["vault", "rekey"]);
        rekey.stdin(Stdio::null()).stdout(Stdio::null());
        let mut rekey = rekey.spawn().unwrap();
        // Killed as soon as the header is written, or the first, or the last file that we look at.
        let file = match moment {
            0 => None,
            1 => before.first(),
            _ => before.last(),
        };
        while rekey.try_wait().unwrap().is_none() {
            let written = match file {
                None => fs::read(&header).unwrap() != old,
                Some((path, content)) => fs::read(path).unwrap() != *content,
            };
            if written {
                rekey.kill().unwrap();
                rekey.wait().unwrap();
            }
        }
        let new = Passphrase::new(NEW);
        let vault = Vault::open(&home.vault(), &new).unwrap();
        assert_eq!(vault.damaged().count(), 0, "moment {moment}");
        cut_off += usize::from(vault.stale() > 0);
        fs::write(home.passphrase(), NEW).unwrap();
        assert_eq!(passkeys(&stage, &home), usize::try_from(PASSKEYS).unwrap());
        let vault = Vault::open(&home.vault(), &new).unwrap();
        assert_eq!((vault.stale(), vault.damaged().count()), (0, 0));
    }
    assert!(cut_off > 0, "none was killed in the middle");
}

#[test]
fn a_new_key_says_what_it_does_not_undo_and_which_devices_will_ask() {
    let stage = stage();
    let home = phone(&stage, "phone");
    fill(&home, 3);
    let other = stage.home("laptop", PASSPHRASE, PIN).unwrap();
    handfast_demo::copier::copy_folder(&home.vault(), &other.vault()).unwrap();
    let init = ["init", "--name", "laptop"];
    assert_eq!(finish(command(&stage, &other, &init), "").code, 0);
    handfast_demo::copier::copy_folder(&other.vault(), &home.vault()).unwrap();
    let rekeyed = finish(command(&stage, &home, &["vault", "rekey"]), "");
    done(&rekeyed, "Make new passkeys at the sites");
    assert!(rekeyed.out.contains("laptop"), "{}", rekeyed.out);
    // The laptop gets the folder, and goes on with its own store under the new key.
    handfast_demo::copier::copy_folder(&home.vault(), &other.vault()).unwrap();
    let list = ["passkeys", "list"];
    told(
        &finish(command(&stage, &other, &list), ""),
        1,
        "pass phrase is wrong",
    );
    for home in [&home, &other] {
        fs::write(home.passphrase(), NEW).unwrap();
        assert_eq!(passkeys(&stage, home), 3);
    }
}

#[test]
fn a_backup_is_written_once_and_restored_where_there_is_nothing() {
    let stage = stage();
    let home = phone(&stage, "phone");
    fill(&home, 3);
    let file = stage.folder().join("phone.backup");
    let file = file.to_str().unwrap();
    let backup = ["vault", "backup", file];
    done(
        &finish(command(&stage, &home, &backup), ""),
        "does not carry this device's keys",
    );
    let written = fs::read(file).unwrap();
    told(&finish(command(&stage, &home, &backup), ""), 1, "already");
    assert_eq!(fs::read(file).unwrap(), written);
    let own = ["vault", "backup", file, "--force", "--own-passphrase"];
    done(&finish(command(&stage, &home, &own), ""), "3 passkeys");

    let empty = stage.home("empty", NEW, PIN).unwrap();
    let restore = ["vault", "restore", file];
    done(
        &finish(command(&stage, &empty, &restore), ""),
        "handfast-authenticator init",
    );
    assert_eq!(finish(command(&stage, &empty, &["init"]), "").code, 0);
    assert_eq!(passkeys(&stage, &empty), 3);
    done(
        &finish(command(&stage, &empty, &restore), ""),
        "3 were there already",
    );
    told(
        &finish(command(&stage, &home, &restore), ""),
        1,
        "pass phrase of the backup is another",
    );
    told(
        &finish(
            command(&stage, &home, &["vault", "restore", "/dev/zero"]),
            "",
        ),
        1,
        "no backup",
    );
}

#[test]
fn a_backup_is_not_put_beside_what_it_is_to_bring_back_and_says_what_is_not_in_it() {
    let stage = stage();
    let home = phone(&stage, "phone");
    fill(&home, 2);
    let vault = home.vault();
    for place in [
        vault.join("vault.handfast"),
        vault.join("passkeys/b"),
        home.device().join("b"),
    ] {
        let before = content(home.folder());
        let place = place.to_str().unwrap();
        let backup = command(&stage, &home, &["vault", "backup", place, "--force"]);
        told(&finish(backup, ""), 2, "beside what it is to bring back");
        assert_eq!(content(home.folder()), before);
    }
    let one = fs::read_dir(vault.join("passkeys"))
        .unwrap()
        .next()
        .unwrap();
    fs::write(one.unwrap().path(), b"torn").unwrap();
    let file = stage.folder().join("two.backup");
    let backup = command(&stage, &home, &["vault", "backup", file.to_str().unwrap()]);
    let backup = finish(backup, "");
    done(&backup, "1 passkey");
    done(
        &backup,
        "1 file of the vault cannot be read, and is not in it",
    );
}

#[test]
fn a_header_that_is_lost_or_damaged_comes_back_from_an_older_backup() {
    let stage = stage();
    let home = phone(&stage, "phone");
    fill(&home, 2);
    let file = stage.folder().join("phone.backup");
    let file = file.to_str().unwrap();
    done(
        &finish(command(&stage, &home, &["vault", "backup", file]), ""),
        "2 passkeys",
    );
    // The device has seen a newer header than the one in the backup.
    done(
        &finish(command(&stage, &home, &["vault", "passphrase"]), ""),
        "changed",
    );
    let header = home.vault().join("vault.handfast");
    let whole = fs::read(&header).unwrap();
    for damaged in [Some(&whole[..20]), Some(&b""[..]), None] {
        match damaged {
            Some(bytes) => fs::write(&header, bytes).unwrap(),
            None => fs::remove_file(&header).unwrap(),
        }
        let list = command(&stage, &home, &["passkeys", "list"]);
        let word = if damaged.is_some() {
            "header is damaged"
        } else {
            "no vault"
        };
        told(&finish(list, ""), 1, word);
        let restore = command(&stage, &home, &["vault", "restore", file]);
        done(&finish(restore, ""), "still is set up in it");
        assert_eq!(passkeys(&stage, &home), 2);
    }
    // After a new key, what this device keeps is of no use for what is in the backup.
    let rekey = command(&stage, &home, &["vault", "rekey"]);
    done(&finish(rekey, ""), "new key");
    fs::remove_file(&header).unwrap();
    let restored = finish(command(&stage, &home, &["vault", "restore", file]), "");
    done(&restored, "remove that folder");
    fs::remove_dir_all(home.device()).unwrap();
    assert_eq!(finish(command(&stage, &home, &["init"]), "").code, 0);
    assert_eq!(passkeys(&stage, &home), 2);
}

/// Runs a command of the phone after a shell has done something, in a namespace of its own.
fn after(shell: &[&str], first: &str, stage: &Stage, home: &Home, words: &[&str]) -> Finished {
    let inner = command(stage, home, words);
    let mut outer = Command::new(shell[0]);
    outer.args(&shell[1..]).arg("-c");
    outer.arg(format!("{first} && exec \"$@\"")).arg("sh");
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        outer.env(name, value.unwrap());
    }
    finish(outer, "")
}

/// What is in the folder, name by name.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push((path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_full_disk_and_a_read_only_folder_leave_the_vault_as_it_was() {
    let stage = stage();
    let home = phone(&stage, "phone");
    fill(&home, 2);
    let vault = home.vault();
    let before = content(&vault);
    let backup = stage.folder().join("full.backup");
    let commands = [
        vec!["vault", "passphrase"],
        vec!["vault", "rekey"],
        vec!["vault", "backup", backup.to_str().unwrap()],
    ];
    let folder = vault.display();
    let read_only = format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}");
    // A limit on the size of files is met by the same calls as a full disk.
    for (shell, first) in [
        (&["sh"][..], "trap '' XFSZ; ulimit -f 0"),
        (&["unshare", "-rm", "sh"], read_only.as_str()),
    ] {
        let mut possible = Command::new(shell[0]);
        possible.args(&shell[1..]).args(["-c", first]);
        if !possible
            .output()
            .is_ok_and(|output| output.status.success())
        {
            println!("skipped: no namespace with a read-only folder can be made here");
            continue;
        }
        for words in &commands {
            if words[1] == "backup" && shell[0] != "sh" {
                continue;
            }
            let finished = after(shell, first, &stage, &home, words);
            told(
                &finished,
                1,
                if words[1] == "backup" {
                    "full.backup"
                } else {
                    "vault.handfast"
                },
            );
            assert_eq!(content(&vault), before, "{words:?}");
            assert!(!backup.exists());
        }
    }
    assert_eq!(passkeys(&stage, &home), 2);
}

/// Runs the rest of its arguments with a vault's folder on a disk that is full, and says whether that left
/// the folder as it was.
const FULL: &str = r#"
set -e
cp -r "$VAULT" "$COPY"
mount -t tmpfs -o size=256k,mode=700 tmpfs "$VAULT"
cp -r "$COPY/." "$VAULT"
head -c 1M /dev/zero >"$VAULT/.filler" 2>/dev/null || true
set +e
"$@"
code=$?
rm "$VAULT/.filler"
diff -r "$COPY" "$VAULT" >&2 || exit 99
exit "$code"
"#;

#[test]
fn a_disk_without_room_is_named_and_leaves_the_vault_as_it_was() {
    let stage = stage();
    let home = phone(&stage, "phone");
    fill(&home, 2);
    let possible = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: no namespace with a disk of its own can be made here");
        return;
    }
    let rename = [
        "passkeys",
        "rename",
        "example.org",
        "--name",
        "n",
        "--id",
        "AAAAAA",
    ];
    for (number, words) in [&["vault", "passphrase"][..], &["vault", "rekey"], &rename]
        .into_iter()
        .enumerate()
    {
        let inner = command(&stage, &home, words);
        let mut outer = Command::new("unshare");
        outer.args(["-rm", "sh", "-c", FULL, "sh"]);
        outer.arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            outer.env(name, value.unwrap());
        }
        let copy = stage.folder().join(format!("copy{number}"));
        outer.env("VAULT", home.vault()).env("COPY", copy);
        told(&finish(outer, ""), 1, "No space left on device");
    }
    assert_eq!(passkeys(&stage, &home), 2);
}
