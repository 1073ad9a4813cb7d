//! Where keys come from, and how a new key file is made.

use crate::keyfile::KeyFileError;
use crate::keys::KeySet;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The environment variable in which systemd names the directory of a service's credentials.
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The name under which systemd is to pass the key file: `LoadCredential=twinflow-vault-key:/path`.
pub const CREDENTIAL_NAME: &str = "twinflow-vault-key";
/// The environment variable that may hold the text of a key file.
pub const VARIABLE: &str = "TWINFLOW_VAULT_KEY";

/// Far more than any key file needs; a larger one is some other file.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// The place that keys are read from. Only its name can be printed.
pub struct KeySource(Place);

enum Place {
    Credential(PathBuf),
    File(PathBuf),
    Variable(Zeroizing<String>),
}

impl KeySource {
    /// The first of: the systemd credential, `key_file`, the variable [`VARIABLE`]. What comes later is not
    /// looked at, not even when what comes first turns out to be unusable.
    ///
    /// `lookup` reads the environment, which belongs to the caller. The variable stays in it, where the machine's
    /// administrators and every child process can read it: removing it needs unsafe code. Prefer the others.
    pub fn find(
        key_file: Option<&Path>,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SourceError> {
        let credential =
            lookup(CREDENTIALS_DIRECTORY).map(|directory| Path::new(&directory).join(CREDENTIAL_NAME));
        if let Some(path) = credential.filter(|path| path.is_absolute() && !is_absent(path)) {
            return Ok(Self(Place::Credential(path)));
        }
        if let Some(path) = key_file {
            return Ok(Self::file(path));
        }
        match lookup(VARIABLE).map(OsString::into_string) {
            Some(Ok(text)) => Ok(Self(Place::Variable(Zeroizing::new(text)))),
            Some(Err(_)) => Err(SourceError::NotText { place: variable() }),
            None => Err(SourceError::Nowhere),
        }
    }

    /// A key file that is there already; [`create_key_file`] makes one.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self(Place::File(path.to_owned()))
    }

    /// Whether a process finds there what it was started with, whatever becomes of it later: an environment is its own,
    /// and systemd copies credentials when it starts a service.
    pub(crate) fn is_given_at_start(&self) -> bool {
        !matches!(self.0, Place::File(_))
    }

    /// Reads the keys. Doing it again later takes up a changed file, without a restart.
    pub fn load(&self) -> Result<KeySet, SourceError> {
        let user = rustix::process::geteuid().as_raw();
        let text = match &self.0 {
            // systemd shows a credential that a service may read through an access list as mode 0440.
            Place::Credential(path) => read_private(path, user, |mode| mode & 0o027 == 0)?,
            Place::File(path) => read_private(path, user, |mode| mode == 0o400)?,
            Place::Variable(text) => text.clone(),
        };
        KeySet::parse(&text).map_err(|error| SourceError::Unusable { place: self.to_string(), error })
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Credential(path) => write!(f, "the systemd credential {}", path.display()),
            Place::File(path) => write!(f, "the key file {}", path.display()),
            Place::Variable(_) => f.write_str(&variable()),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({self})")
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(
        "no vault key was given: pass a key file, the systemd credential {CREDENTIAL_NAME} or the variable {VARIABLE}; `twinflow vault keygen` makes a key"
    )]
    Nowhere,
    #[error("there is no key file {path}: `twinflow vault keygen` makes one, and a backup may have the one that sealed what is stored", path = .0.display())]
    Missing(PathBuf),
    #[error("{path} could not be read: let the user that runs TwinFlow own it", path = .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is a symbolic link: name the key file itself", path = .0.display())]
    Link(PathBuf),
    #[error("{path} is not a regular file: name a key file", path = .0.display())]
    NotAFile(PathBuf),
    #[error("{path} has mode {mode:04o}, and a key is for one user to read: run `chmod 0400 {path}`", path = .path.display())]
    Mode { path: PathBuf, mode: u32 },
    #[error("{path} belongs to user {owner}, and TwinFlow runs as user {user}: run `chown {user} {path}`", path = .path.display())]
    Owner { path: PathBuf, owner: u32, user: u32 },
    #[error("{path} is larger than 64 KiB: that is not a key file", path = .0.display())]
    TooLarge(PathBuf),
    #[error("{place} is not UTF-8 text: `twinflow vault keygen` shows what a key file looks like")]
    NotText { place: String },
    /// The error names the line. It is no `source()`, so that both come out as one sentence.
    #[error("{place} cannot be used: {error}")]
    Unusable { place: String, error: KeyFileError },
}

fn variable() -> String {
    format!("the environment variable {VARIABLE}")
}

fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Reads a file that belongs to this user or to root, and has a right mode. All checks are made on the open file, so it
/// cannot be exchanged between check and use.
fn read_private(
    path: &Path,
    user: u32,
    mode_is_right: fn(u32) -> bool,
) -> Result<Zeroizing<String>, SourceError> {
    let file = open_no_follow(path)?;
    let metadata = file.metadata().map_err(|source| SourceError::Unreadable { path: path.into(), source })?;
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if !metadata.is_file() {
        Err(SourceError::NotAFile(path.into()))
    } else if !may_own(owner, user) {
        Err(SourceError::Owner { path: path.into(), owner, user })
    } else if !mode_is_right(mode) {
        Err(SourceError::Mode { path: path.into(), mode })
    } else {
        read_text(path, file)
    }
}

fn may_own(owner: u32, user: u32) -> bool {
    owner == user || owner == 0
}

/// Opens without following a link, and without waiting for a writer should it be a pipe.
fn open_no_follow(path: &Path) -> Result<File, SourceError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    opened.map_err(|source| match source.kind() {
        ErrorKind::NotFound => SourceError::Missing(path.into()),
        _ if source.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => SourceError::Link(path.into()),
        _ => SourceError::Unreadable { path: path.into(), source },
    })
}

fn read_text(path: &Path, file: File) -> Result<Zeroizing<String>, SourceError> {
    // Room for everything at once: a buffer that grows leaves copies of itself behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize + 32));
    let read = file.take(MAX_KEY_FILE + 1).read_to_string(&mut text);
    read.map_err(|source| match source.kind() {
        ErrorKind::InvalidData => SourceError::NotText { place: path.display().to_string() },
        _ => SourceError::Unreadable { path: path.into(), source },
    })?;
    if text.len() as u64 > MAX_KEY_FILE { Err(SourceError::TooLarge(path.into())) } else { Ok(text) }
}

/// Why a key file was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("{path} is there already, and a key file is never overwritten: move it away first, if it sealed nothing", path = .0.display())]
    Exists(PathBuf),
    #[error("the key file {path} could not be written: choose a directory that belongs to the user that runs TwinFlow", path = .path.display())]
    Unwritable { path: PathBuf, source: io::Error },
}

/// Writes a new key file: mode 0400, on the disk before this returns, and there in full or not at all.
/// Directories that are missing are made for one user (0700). A file that exists is left alone.
pub fn create_key_file(path: &Path, keys: &KeySet) -> Result<(), CreateError> {
    write_new(path, keys).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists if path.symlink_metadata().is_ok() => CreateError::Exists(path.into()),
        _ => CreateError::Unwritable { path: path.into(), source },
    })
}

/// A hard link gives the finished file its name: unlike a rename, that fails when the name is taken.
fn write_new(path: &Path, keys: &KeySet) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let draft = directory.join(format!(".twinflow-key-{}", keys.primary().id));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&draft)?;
    let written = file.write_all(keys.render().as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    linked?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{SourceError, may_own, read_private};
    use std::os::unix::fs::{MetadataExt, chown};
    use tempfile::NamedTempFile;

    #[test]
    fn a_key_file_belongs_to_the_user_that_runs_twinflow_or_to_root() {
        assert!(may_own(1000, 1000) && may_own(0, 1000) && may_own(0, 0));
        assert!(!may_own(1001, 1000) && !may_own(1000, 0));
    }

    #[test]
    fn a_file_of_another_user_is_not_read() {
        let file = NamedTempFile::new().unwrap();
        // Root may read for anybody, so root gives the file away first; nobody else could, or needs to.
        if file.as_file().metadata().unwrap().uid() == 0 {
            chown(file.path(), Some(4711), None).unwrap();
        }
        let owner = file.as_file().metadata().unwrap().uid();
        assert!(read_private(file.path(), owner, |_| true).is_ok());
        let refused = read_private(file.path(), owner + 1, |_| true).unwrap_err();
        assert!(matches!(refused, SourceError::Owner { .. }), "{refused}");
    }
}
