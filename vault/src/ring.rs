//! The keys of a running process: those it started with, until a value asks for one that came later. They are looked
//! for again where they came from, so that a rotation needs no restart.

use crate::keys::{KeyId, KeySet};
use crate::source::{KeySource, SourceError};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Between two looks: whoever stores values under keys that nobody has shall not keep us reading files.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

pub(crate) struct Ring {
    keys: RwLock<Arc<KeySet>>,
    source: Option<KeySource>,
    looked: Mutex<Option<Instant>>,
}

impl Ring {
    /// Keys that stay as they are.
    pub(crate) fn fixed(keys: KeySet) -> Self {
        Self { keys: RwLock::new(Arc::new(keys)), source: None, looked: Mutex::default() }
    }

    pub(crate) fn of(source: KeySource) -> Result<Self, SourceError> {
        let keys = source.load()?;
        Ok(Self { source: Some(source), ..Self::fixed(keys) })
    }

    /// As they are known.
    pub(crate) fn keys(&self) -> Arc<KeySet> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As they are now where they came from; as they are known, if that cannot be read or was just looked at.
    pub(crate) fn newest(&self) -> Arc<KeySet> {
        self.newest_at(Instant::now())
    }

    fn newest_at(&self, now: Instant) -> Arc<KeySet> {
        if let Some(source) = &self.source {
            // Held while reading: who comes second takes what the first one found.
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN_LOOKS) {
                *looked = Some(now);
                if let Ok(found) = source.load() {
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
                }
            }
        }
        self.keys()
    }

    /// With this key in them, if it is there at all.
    pub(crate) fn with(&self, id: KeyId) -> Arc<KeySet> {
        let known = self.keys();
        if known.get(id).is_some() { known } else { self.newest() }
    }

    /// Whether only another process would see other keys there.
    pub(crate) fn needs_a_restart(&self) -> bool {
        self.source.as_ref().is_some_and(KeySource::is_given_at_start)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("keys", &self.keys()).field("source", &self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn write(file: &Path) -> KeyId {
        let keys = KeySet::generate(&mut rand::rng()).unwrap();
        let _ = fs::remove_file(file);
        fs::write(file, keys.render().as_bytes()).unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o400)).unwrap();
        keys.primary().id
    }

    #[test]
    fn keys_are_looked_for_again_no_more_often_than_every_few_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let (file, start) = (folder.path().join("key"), Instant::now());
        let first = write(&file);
        let ring = Ring::of(KeySource::file(&file)).unwrap();
        let primary = |after: u64| ring.newest_at(start + Duration::from_secs(after)).primary().id;
        let second = write(&file);
        assert_ne!(first, second);
        assert_eq!(primary(0), second, "the first look is at once");
        let third = write(&file);
        assert_eq!((primary(1), primary(2)), (second, second));
        assert_eq!(primary(3), third);
        fs::remove_file(&file).unwrap();
        assert_eq!(primary(10), third, "what cannot be read takes no key away");
    }
}
