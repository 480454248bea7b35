//! What is measured: the cases, the items in them, and what their bodies await.
//!
//! The nightly crate includes this file too.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A column of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// A `u64` per item, and nothing to wait for.
    Ready,
    /// A [`Nap`] before each item.
    Pending,
    /// A `?` per item, the last of which fails.
    Try,
    /// Items of 64 bytes.
    B64,
    /// Items of 256 bytes.
    B256,
    /// One generator that loops over the `Ready` one and yields its items on.
    D1,
    /// Four of them, one over the other.
    D4,
    /// Eight of them.
    D8,
}

impl Case {
    pub(crate) const ALL: [Case; 8] = [
        Case::Ready,
        Case::Pending,
        Case::Try,
        Case::B64,
        Case::B256,
        Case::D1,
        Case::D4,
        Case::D8,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Case::Ready => "ready",
            Case::Pending => "pending",
            Case::Try => "try",
            Case::B64 => "b64",
            Case::B256 => "b256",
            Case::D1 => "d1",
            Case::D4 => "d4",
            Case::D8 => "d8",
        }
    }
}

/// What a stream yields: it weighs what its index is. (`'static` and `Unpin` are what
/// some of the engines ask for, the former in streams, too.)
pub(crate) trait Item: Unpin + 'static {
    fn weight(&self) -> u64;
}

impl Item for u64 {
    fn weight(&self) -> u64 {
        *self
    }
}

/// An item of `8 * N` bytes.
pub(crate) struct Words<const N: usize>([u64; N]);

impl<const N: usize> From<u64> for Words<N> {
    fn from(index: u64) -> Self {
        Words([index; N])
    }
}

impl<const N: usize> Item for Words<N> {
    fn weight(&self) -> u64 {
        self.0[N - 1]
    }
}

/// Why [`admit`] fails: the index that was refused.
pub(crate) struct Refused(u64);

impl Item for Result<u64, Refused> {
    fn weight(&self) -> u64 {
        match self {
            Ok(index) | Err(Refused(index)) => *index,
        }
    }
}

/// Gives an index below the limit back: a call that may fail, and that the
/// optimiser does not see through.
#[inline(never)]
pub(crate) fn admit(index: u64, limit: u64) -> Result<u64, Refused> {
    if black_box(index) < limit {
        Ok(index)
    } else {
        Err(Refused(index))
    }
}

/// Wakes its task and is pending once, then ready.
pub(crate) fn nap() -> Nap {
    Nap { over: false }
}

pub(crate) struct Nap {
    over: bool,
}

impl Future for Nap {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.over {
            return Poll::Ready(());
        }
        self.over = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
