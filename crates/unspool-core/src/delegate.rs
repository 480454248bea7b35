//! What `yield in` needs of the generator that it yields from: functions, and not
//! methods, so that the input tells which generator it is.

use core::pin::Pin;
use core::task::{Context, Poll};

use crate::{AsyncGenerator, Resume};

/// One step of the inner generator.
pub fn poll_inner<G, S, T>(
    inner: Pin<&mut G>,
    cx: &mut Context<'_>,
    input: &mut Option<Resume<S, T>>,
) -> Poll<Option<G::Yield>>
where
    G: AsyncGenerator<S, T>,
{
    inner.poll_resume(cx, input)
}

/// What the inner generator, which has ended, returned.
pub fn inner_return<G, S, T>(inner: Pin<&mut G>, _: &Option<Resume<S, T>>) -> G::Return
where
    G: AsyncGenerator<S, T>,
{
    match inner.take_return() {
        Some(value) => value,
        None => ended_before(),
    }
}

#[cold]
fn ended_before() -> ! {
    panic!("`yield in` a generator that had ended before")
}
