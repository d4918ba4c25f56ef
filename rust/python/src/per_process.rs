//! What belongs to one process id: threads and sockets do not survive a fork, so the child makes its own.

use pyo3::Python;
use std::sync::{Arc, Mutex, PoisonError};

/// A value made at first use, and made again by the first use in a forked child.
///
/// The lock is only taken by a thread that is attached to the interpreter and does not detach meanwhile. `os.fork` is
/// called by such a thread too, so the child never finds the lock held by a thread that does not exist there.
pub(crate) struct PerProcess<T>(Mutex<Option<(u32, Arc<T>)>>);

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The value of this process; `make` must not detach from the interpreter.
    pub(crate) fn get_or_make<E>(
        &self,
        _attached: Python<'_>,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let pid = std::process::id();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((owner, value)) = held.as_ref()
            && *owner == pid
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        forget_inherited(held.replace((pid, Arc::clone(&value))), pid);
        Ok(value)
    }

    /// The value of this process, if it was made.
    pub(crate) fn get(&self, _attached: Python<'_>) -> Option<Arc<T>> {
        let pid = std::process::id();
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref()
            .filter(|(owner, _)| *owner == pid)
            .map(|(_, value)| Arc::clone(value))
    }

    /// Takes the value of this process out.
    pub(crate) fn take(&self, _attached: Python<'_>) -> Option<Arc<T>> {
        let pid = std::process::id();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.take() {
            Some((owner, value)) if owner == pid => Some(value),
            inherited => {
                forget_inherited(inherited, pid);
                None
            }
        }
    }
}

/// A destructor would join threads that only the parent has, and wait for ever.
fn forget_inherited<T>(held: Option<(u32, Arc<T>)>, pid: u32) {
    if let Some((owner, value)) = held
        && owner != pid
    {
        std::mem::forget(value);
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let held = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        forget_inherited(
            held.take_if(|(owner, _)| *owner != std::process::id()),
            std::process::id(),
        );
    }
}
