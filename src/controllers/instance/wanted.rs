//! Whether a pass still does what is asked for: what it was begun with is from a cache.

use super::apply::Apply;
use crate::controllers::trouble::{Trouble, retry_after};

impl Apply<'_> {
    /// Whether the instance still asks for what this pass is bringing about. A long pass is not to go on against a newer word.
    pub(super) fn still_wanted(&self) -> Result<(), Trouble> {
        let newest = self.world.get(&self.instance.key);
        let same = newest.is_some_and(|newest| {
            newest.metadata.uid.as_ref() == Some(&self.instance.uid)
                && newest.metadata.generation == Some(self.instance.generation)
                && newest.metadata.deletion_timestamp.is_none()
        });
        if same {
            return Ok(());
        }
        Err(Trouble::transient("the spec was changed meanwhile; looking again"))
    }

    /// The instance is on the apiserver, and not only in a cache that is behind: what is made for one that is gone, nobody takes
    /// away. Asked once a pass, and not where the pass has just written to it.
    pub(super) async fn is_there(&self) -> Result<(), Trouble> {
        self.confirmed.get_or_try_init(|| self.look()).await.copied()
    }

    async fn look(&self) -> Result<(), Trouble> {
        let key = &self.instance.key;
        let found = self.world.api(key).get_metadata_opt(&key.name).await;
        let found = found.map_err(|error| Trouble {
            retry_after: retry_after(&error),
            ..Trouble::transient(format!("whether it is still there cannot be told: {error}"))
        })?;
        let there = found.is_some_and(|found| {
            found.metadata.uid.as_ref() == Some(&self.instance.uid) && found.metadata.deletion_timestamp.is_none()
        });
        if there {
            return Ok(());
        }
        Err(Trouble::transient("it was deleted meanwhile; looking again"))
    }
}
