//! A generator as a stream.

use core::convert::Infallible;
use core::marker::PhantomData;
use core::pin::Pin;

/// A generator as a stream. Made by
/// [`AsyncGenerator::into_stream`](crate::AsyncGenerator::into_stream).
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct IntoStream<G, S = (), T = Infallible> {
    generator: G,
    input: PhantomData<fn(S, T)>,
}

impl<G, S, T> IntoStream<G, S, T> {
    pub(crate) fn new(generator: G) -> Self {
        IntoStream {
            generator,
            input: PhantomData,
        }
    }

    /// The generator: to take its return value, or to close it.
    pub fn generator(self: Pin<&mut Self>) -> Pin<&mut G> {
        // SAFETY: the generator is pinned whenever the stream is: it is reached
        // only here, this struct has no destructor, and it is `Unpin` only if the
        // generator is.
        unsafe { self.map_unchecked_mut(|stream| &mut stream.generator) }
    }

    pub(crate) fn get(&self) -> &G {
        &self.generator
    }
}

/// A generator that may fail as a stream of results: its error is the last item. Made by
/// [`AsyncGenerator::try_into_stream`](crate::AsyncGenerator::try_into_stream).
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct TryIntoStream<G, S = (), T = Infallible> {
    items: IntoStream<G, S, T>,
}

impl<G, S, T> TryIntoStream<G, S, T> {
    pub(crate) fn new(generator: G) -> Self {
        TryIntoStream {
            items: IntoStream::new(generator),
        }
    }

    /// The generator: to take its return value, or to close it.
    pub fn generator(self: Pin<&mut Self>) -> Pin<&mut G> {
        // SAFETY: as for `IntoStream`.
        unsafe { self.map_unchecked_mut(|stream| &mut stream.items) }.generator()
    }

    pub(crate) fn get(&self) -> &G {
        self.items.get()
    }
}
