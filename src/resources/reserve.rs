//! Memory that grows with what a caller asks for. If there is not enough, the result is an error.
//!
//! If a `Vec` grows by itself and there is no memory, the whole process ends, and the host with it. That is no panic, so
//! nothing catches it. So everything that grows with k, with the rows that are found, or with what a statement passes asks
//! here for room first. What has a fixed size does not ask: a host without a free kilobyte cannot go on in any case.

use crate::error::{Error, Result};
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::hint::black_box;

/// A collection that can be asked for room.
pub trait Reserve {
    /// Makes room for `more` more elements.
    fn reserve_room(&mut self, more: usize) -> Result<()>;
}

impl<T> Reserve for Vec<T> {
    #[inline]
    fn reserve_room(&mut self, more: usize) -> Result<()> {
        self.try_reserve(more).map_err(|_| none_left::<T>(self.len(), more))
    }
}

impl Reserve for String {
    #[inline]
    fn reserve_room(&mut self, more: usize) -> Result<()> {
        self.try_reserve(more).map_err(|_| none_left::<u8>(self.len(), more))
    }
}

impl<T: Ord> Reserve for BinaryHeap<T> {
    #[inline]
    fn reserve_room(&mut self, more: usize) -> Result<()> {
        self.try_reserve(more).map_err(|_| none_left::<T>(self.len(), more))
    }
}

impl<T: Eq + Hash, S: BuildHasher> Reserve for HashSet<T, S> {
    #[inline]
    fn reserve_room(&mut self, more: usize) -> Result<()> {
        self.try_reserve(more).map_err(|_| none_left::<T>(self.len(), more))
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Reserve for HashMap<K, V, S> {
    #[inline]
    fn reserve_room(&mut self, more: usize) -> Result<()> {
        self.try_reserve(more).map_err(|_| none_left::<(K, V)>(self.len(), more))
    }
}

/// Appends a value.
#[inline]
pub fn push<T>(list: &mut Vec<T>, value: T) -> Result<()> {
    list.reserve_room(1)?;
    list.push(value);
    Ok(())
}

/// A copy of values that lie side by side.
pub fn copy<T: Copy>(values: &[T]) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(values.len()).map_err(|_| none_left::<T>(0, values.len()))?;
    list.extend_from_slice(values);
    Ok(list)
}

/// All values of an iterator that knows its length.
pub fn collect<T>(values: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(values.len()).map_err(|_| none_left::<T>(0, values.len()))?;
    list.extend(values);
    Ok(list)
}

/// Fails if there is no memory for so many bytes now. It is for the work of other packages, and for what is copied several
/// times on its way: neither can be asked to take its memory in this way.
pub fn check_room(bytes: usize) -> Result<()> {
    if bytes < LARGE {
        return Ok(());
    }
    let mut room = Vec::<u8>::new();
    room.try_reserve_exact(bytes).map_err(|_| none_left::<u8>(0, bytes))?;
    // Without this the compiler may leave out what it sees to be of no use.
    black_box(&room);
    Ok(())
}

/// What takes less than this is as if it had a fixed size.
const LARGE: usize = 256 << 10;

/// A collection that grows one by one doubles its room each time.
#[cold]
fn none_left<T>(length: usize, more: usize) -> Error {
    let bytes = more.max(length).saturating_mul(size_of::<T>());
    Error::Memory(format!("expected memory for {bytes} bytes more, not none; ask for less at a time"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error_that_says_how_much() {
        let mut list: Vec<u64> = vec![1, 2];
        let error = list.reserve_room(1 << 60).unwrap_err();
        let said = format!("expected memory for {} bytes more, not none; ask for less at a time", 1u64 << 63);
        assert_eq!((error.to_string(), list.as_slice()), (said, [1, 2].as_slice()));
        assert!(matches!(BinaryHeap::<u64>::new().reserve_room(usize::MAX), Err(Error::Memory(_))));
        assert!(matches!(HashSet::<u64>::new().reserve_room(usize::MAX), Err(Error::Memory(_))));
        assert!(matches!(HashMap::<u64, u64>::new().reserve_room(usize::MAX), Err(Error::Memory(_))));
        assert!(matches!(String::new().reserve_room(usize::MAX), Err(Error::Memory(_))));
        assert!(matches!(check_room(1 << 60), Err(Error::Memory(_))));
    }

    #[test]
    fn what_can_be_had_is_there() {
        check_room(1000).unwrap();
        let mut list = copy(&[1, 2]).unwrap();
        push(&mut list, 3).unwrap();
        assert_eq!(list, [1, 2, 3]);
        assert_eq!(collect([4, 5].into_iter()).unwrap(), [4, 5]);
    }
}
