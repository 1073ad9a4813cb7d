//! Where keys are looked for, and which files are too open, too strange or too foreign to be read.

use crate::given::{NEW, OLD, keys};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};
use twinflow_vault::{
    CREDENTIAL_NAME, CREDENTIALS_DIRECTORY, CreateError, KeyFileError, KeyId, KeySet, KeySource, SourceError,
    VARIABLE, create_key_file,
};

const OLD_ID: [u8; 4] = [0x0a; 4];
const NEW_ID: [u8; 4] = [0x0b; 4];

fn write(path: &Path, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    path.to_owned()
}

/// A directory with a key file of this mode.
fn key_file(mode: u32) -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    let path = write(&directory.path().join("key"), format!("primary {OLD}"), mode);
    (directory, path)
}

fn load(path: &Path) -> Result<KeySet, SourceError> {
    KeySource::file(path).load()
}

fn first_id(keys: &KeySet) -> KeyId {
    keys.ids().next().unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

#[test]
fn a_systemd_credential_goes_before_a_file_and_a_file_before_the_variable() {
    let credentials = tempdir().unwrap();
    write(&credentials.path().join(CREDENTIAL_NAME), format!("primary {OLD}"), 0o440);
    let (_directory, file) = key_file(0o644);
    let find = |with_credential: bool, file: Option<&Path>, with_variable: bool| {
        KeySource::find(file, |name| match name {
            CREDENTIALS_DIRECTORY => with_credential.then(|| credentials.path().into()),
            VARIABLE => with_variable.then(|| OsString::from(format!("primary {NEW}"))),
            _ => panic!("{name} was read"),
        })
    };
    let credential = find(true, Some(&file), true).unwrap();
    assert!(credential.to_string().starts_with("the systemd credential "));
    assert_eq!(first_id(&credential.load().unwrap()), KeyId::from(OLD_ID));

    let from_file = find(false, Some(&file), true).unwrap();
    assert_eq!(from_file.to_string(), format!("the key file {}", file.display()));
    assert!(matches!(from_file.load(), Err(SourceError::Mode { .. })), "no falling back to the variable");

    let variable = find(false, None, true).unwrap();
    assert_eq!(variable.to_string(), "the environment variable TWINFLOW_VAULT_KEY");
    assert_eq!(first_id(&variable.load().unwrap()), KeyId::from(NEW_ID));
    assert!(matches!(find(false, None, false), Err(SourceError::Nowhere)));
}

#[test]
fn a_credentials_directory_that_is_relative_or_lacks_our_credential_is_passed_over() {
    let (empty, credentials) = (tempdir().unwrap(), tempdir().unwrap());
    write(&credentials.path().join(CREDENTIAL_NAME), format!("primary {OLD}"), 0o400);
    let up: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
    let relative = up.join(credentials.path().strip_prefix("/").unwrap());
    assert!(relative.join(CREDENTIAL_NAME).exists());
    for directory in [empty.path(), &relative, Path::new("")] {
        let found = KeySource::find(None, |name| match name {
            CREDENTIALS_DIRECTORY => Some(directory.into()),
            _ => Some(OsString::from(format!("primary {NEW}"))),
        });
        assert_eq!(found.unwrap().to_string(), "the environment variable TWINFLOW_VAULT_KEY");
    }
}

#[test]
fn a_credential_that_others_may_read_or_the_group_may_write_is_refused() {
    let credentials = tempdir().unwrap();
    let path = credentials.path().join(CREDENTIAL_NAME);
    for (mode, loads) in [(0o400, true), (0o440, true), (0o460, false), (0o444, false), (0o402, false)] {
        write(&path, format!("primary {OLD}"), mode);
        let found = KeySource::find(None, |_| Some(credentials.path().into())).unwrap();
        assert_eq!(found.load().is_ok(), loads, "{mode:o}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_key_file_is_read_with_mode_0400_and_with_no_other() {
    for mode in (0..=0o7777).step_by(0o11).chain([0o400, 0o600, 0o440, 0o404, 0o500, 0o4400]) {
        let (_directory, path) = key_file(mode);
        match load(&path) {
            Ok(_) => assert_eq!(mode, 0o400),
            // Without the right to read, and without being root, it does not even open.
            Err(SourceError::Unreadable { .. }) => assert_eq!(mode & 0o400, 0),
            Err(error) => {
                let advice =
                    format!("has mode {mode:04o}, and a key is for one user to read: run `chmod 0400 ");
                assert!(mode != 0o400 && error.to_string().contains(&advice), "{mode:o}: {error}");
            }
        }
    }
}

#[test]
fn a_link_a_directory_and_nothing_are_refused_each_in_its_own_words() {
    let (directory, path) = key_file(0o400);
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(load(&link), Err(SourceError::Link(_))));
    assert!(matches!(load(directory.path()), Err(SourceError::NotAFile(_))));
    assert!(matches!(load(&directory.path().join("none")), Err(SourceError::Missing(_))));
}

#[test]
fn a_pipe_is_refused_without_waiting_for_a_writer() {
    let directory = tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(matches!(load(&pipe), Err(SourceError::NotAFile(_))));
}

#[test]
fn what_is_no_text_or_too_large_or_no_key_file_is_refused() {
    let directory = tempdir().unwrap();
    let file = |name: &str, text: &[u8]| load(&write(&directory.path().join(name), text, 0o400)).unwrap_err();
    assert!(matches!(file("bytes", b"primary \xff"), SourceError::NotText { .. }));
    assert!(matches!(file("large", &[b'#'; 65_537]), SourceError::TooLarge(_)));
    let nearly = file("nearly", &[b'#'; 65_536]);
    assert!(matches!(nearly, SourceError::Unusable { error: KeyFileError::NoKey, .. }), "{nearly}");
    let words = file("words", b"\nnot a key\n");
    assert!(matches!(words, SourceError::Unusable { error: KeyFileError::UnknownWord { line: 2 }, .. }));
    assert!(words.to_string().starts_with(&format!("the key file {}", directory.path().display())));

    let variable = KeySource::find(None, |name| (name == VARIABLE).then(|| OsString::from_vec(vec![0xff])));
    assert!(matches!(variable, Err(SourceError::NotText { .. })));
    let empty = KeySource::find(None, |name| (name == VARIABLE).then(OsString::new)).unwrap().load();
    assert!(matches!(empty, Err(SourceError::Unusable { error: KeyFileError::NoKey, .. })));
}

#[test]
fn a_changed_file_is_taken_up_by_loading_again() {
    let (_directory, path) = key_file(0o400);
    let source = KeySource::file(&path);
    assert_eq!(first_id(&source.load().unwrap()), KeyId::from(OLD_ID));
    fs::remove_file(&path).unwrap();
    write(&path, format!("primary {NEW}\nformer {OLD}"), 0o400);
    assert_eq!(first_id(&source.load().unwrap()), KeyId::from(NEW_ID));
}

#[test]
fn a_new_key_file_is_private_loads_and_leaves_nothing_else_behind() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("new/deep/key");
    let made = KeySet::generate(&mut rand::rng()).unwrap();
    create_key_file(&path, &made).unwrap();
    assert_eq!(mode(&path), 0o400);
    assert_eq!((mode(&directory.path().join("new")), mode(path.parent().unwrap())), (0o700, 0o700));
    assert_eq!(*load(&path).unwrap().render(), *made.render());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_key_file_that_exists_is_never_overwritten() {
    let (directory, path) = key_file(0o400);
    let before = fs::read(&path).unwrap();
    let refused = create_key_file(&path, &keys(&format!("primary {NEW}"))).unwrap_err();
    assert!(matches!(refused, CreateError::Exists(_)), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let dangling = directory.path().join("dangling");
    symlink(directory.path().join("none"), &dangling).unwrap();
    assert!(create_key_file(&dangling, &keys(&format!("primary {NEW}"))).is_err());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "a draft was left behind");
}

#[test]
fn a_place_where_no_file_can_be_made_is_said_to_be_unwritable() {
    let (_directory, path) = key_file(0o400);
    let below_a_file = create_key_file(&path.join("key"), &keys(&format!("primary {NEW}")));
    assert!(matches!(below_a_file, Err(CreateError::Unwritable { .. })), "{below_a_file:?}");
}
