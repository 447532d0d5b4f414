//! Where an index keeps its BLOBs.

use crate::error::Result;
use std::collections::BTreeMap;

/// BLOBs by number. The caller has a transaction open during all that is done with it. Whoever owns the transaction may commit it
/// after an error all the same, so what is written must say at every moment whether it is complete.
pub trait Store {
    /// Shows a BLOB to `with`; `None` if there is none of that number.
    fn read<T>(&mut self, id: i64, with: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>>;
    /// Writes a BLOB. It replaces the one that had the number.
    fn write(&mut self, id: i64, blob: &[u8]) -> Result<()>;
    /// Removes a BLOB, if there is one of that number.
    fn delete(&mut self, id: i64) -> Result<()>;
    /// The numbers of all BLOBs, in ascending order.
    fn ids(&mut self) -> Result<Vec<i64>>;
}

/// A store in memory, without transactions.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    /// The BLOBs.
    pub blobs: BTreeMap<i64, Vec<u8>>,
}

impl Store for MemoryStore {
    fn read<T>(&mut self, id: i64, with: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        self.blobs.get(&id).map(|blob| with(blob)).transpose()
    }

    fn write(&mut self, id: i64, blob: &[u8]) -> Result<()> {
        self.blobs.insert(id, blob.to_vec());
        Ok(())
    }

    fn delete(&mut self, id: i64) -> Result<()> {
        self.blobs.remove(&id);
        Ok(())
    }

    fn ids(&mut self) -> Result<Vec<i64>> {
        Ok(self.blobs.keys().copied().collect())
    }
}
