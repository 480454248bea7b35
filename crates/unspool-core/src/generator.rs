use core::convert::Infallible;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use crate::ending::{Ending, Returns, StreamEnding};
use crate::looped_over::LoopedOver;
use crate::port::{Delegates, Extra, Mode, Port};
use crate::raw::{Chain, Generator, IntoStream, Tag, TryIntoStream, Yielder};

/// A body that yields items, is sent values, and returns one.
///
/// Python's `AsyncGenerator[Yield, Send]`. `Send` is what a `yield` gives to the body,
/// and `Throw` what can be thrown into it; by default nothing goes in, so that
/// `impl AsyncGenerator<Yield = u64>` is a whole type.
/// [`generator!`](crate::generator) makes one. If its `Send` is [`Default`], which `()` is, [`into_stream`] makes it a
/// [`Stream`].
///
/// A generator that was started does not move: hold it with [`pin!`](core::pin::pin)
/// or in a `Pin<Box<_>>`, which are generators themselves and have these methods.
///
/// ```compile_fail,E0277
/// # use unspool_core::{AsyncGenerator, generator};
/// # async {
/// let mut numbers = generator! { yield 1; };
/// let step = numbers.anext(); // not pinned
/// # };
/// ```
///
/// [`into_stream`]: AsyncGenerator::into_stream
///
/// # Dropping
///
/// Drops the body where it stands. No `finally` runs: it may have to wait, and a
/// drop cannot. [`aclose`](AsyncGenerator::aclose) runs them.
pub trait AsyncGenerator<Send = (), Throw = Infallible> {
    /// What comes out.
    type Yield;
    /// What the body returns when it ends.
    type Return;

    /// Where the body stands.
    fn state(&self) -> GeneratorState;

    /// Runs the body to its next item, its next wait, or its end (`None`).
    ///
    /// `input` is used up if the body stands at a `yield`, or if it is
    /// [`Resume::Close`]; where the body waits, or has not started, it is left.
    ///
    /// # Panics
    ///
    /// If the body stands at a `yield` and there is no input.
    fn poll_resume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        input: &mut Option<Resume<Send, Throw>>,
    ) -> Poll<Option<Self::Yield>>;

    /// Takes the value that the body returned, if it is such a value: once, after the last
    /// item.
    fn take_return_if(
        self: Pin<&mut Self>,
        is_wanted: fn(&Self::Return) -> bool,
    ) -> Option<Self::Return>;

    /// Takes the value that the body returned: once, after the last item.
    fn take_return(self: Pin<&mut Self>) -> Option<Self::Return> {
        self.take_return_if(|_| true)
    }

    /// The generators that this one yields from at the moment, for a `yield in` of
    /// this one; none is always right, and costs a step more an item.
    ///
    /// # Safety
    ///
    /// Nobody may touch the generator as long as the chain is in use, in which its
    /// place is that of the node that the caller joins it to. An implementation may
    /// give only the chain of a generator that is a part of this one, or that only
    /// this one has, and that is [`Send`] or [`Sync`] if this one is.
    #[doc(hidden)]
    #[expect(
        unsafe_code,
        reason = "a declaration; `raw::yield_in` has the argument"
    )]
    unsafe fn chain(self: Pin<&mut Self>) -> Option<Chain<Self::Yield, Send, Throw>> {
        None
    }

    /// Runs the body to its first item; `None` if it ends before.
    ///
    /// # Errors
    ///
    /// If the generator has been started.
    ///
    /// # Cancel safety
    ///
    /// The body stays where it waits; what is called next goes on from there.
    fn start(&mut self) -> Resumed<'_, Self, Send, Throw, ()>
    where
        Self: Unpin + Sized,
    {
        let misuse = match self.state() {
            GeneratorState::Unstarted => None,
            state => Some((state, ())),
        };
        Resumed::new(self, None, misuse)
    }

    /// The next item; `None` after the last one. To the `yield` at which the body
    /// stands it sends the default.
    ///
    /// If a step was cancelled, this goes on with it.
    ///
    /// A generator that returns a `Result` has [`try_anext`](AsyncGenerator::try_anext)
    /// instead, since a loop over its items would pass by its error. There this does not
    /// compile:
    ///
    /// ```compile_fail,E0283
    /// # use unspool_core::{AsyncGenerator, generator};
    /// # async {
    /// let mut bytes = std::pin::pin!(generator! {
    ///     yield "7".parse::<u8>()?;
    ///     Ok::<(), std::num::ParseIntError>(())
    /// });
    /// while let Some(byte) = bytes.anext().await {}
    /// # };
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The body stays where it waits; to call this again goes on from there.
    fn anext<UseTryAnext>(&mut self) -> Anext<'_, Self, Send, Throw>
    where
        Self: Unpin + Sized,
        Self::Return: LoopedOver<UseTryAnext>,
        Send: Default,
    {
        Anext {
            generator: self,
            input: PhantomData,
        }
    }

    /// The next item of a generator that may fail; `None` after the last one. Its error
    /// comes once, in the place of the end, as an exception comes out of Python's
    /// `async for`.
    ///
    /// Otherwise as [`anext`](AsyncGenerator::anext). A value that is not an error is left
    /// for [`take_return`](AsyncGenerator::take_return).
    ///
    /// ```
    /// use std::num::ParseIntError;
    /// use std::pin::pin;
    /// use unspool_core::{AsyncGenerator, generator};
    ///
    /// fn numbers(text: &str) -> impl AsyncGenerator<Yield = u8, Return = Result<(), ParseIntError>> {
    ///     generator! {
    ///         for word in text.split(' ') {
    ///             yield word.parse()?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// async fn sum(text: &str) -> Result<u8, ParseIntError> {
    ///     let mut sum = 0;
    ///     let mut numbers = pin!(numbers(text));
    ///     while let Some(number) = numbers.try_anext().await? {
    ///         sum += number;
    ///     }
    ///     Ok(sum)
    /// }
    /// # futures_util::FutureExt::now_or_never(async {
    /// assert_eq!(sum("1 2").await, Ok(3));
    /// assert!(sum("1 x").await.is_err());
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The one that the body returned.
    ///
    /// # Cancel safety
    ///
    /// The body stays where it waits; to call this again goes on from there.
    fn try_anext<R, E>(&mut self) -> TryAnext<'_, Self, Send, Throw>
    where
        Self: AsyncGenerator<Send, Throw, Return = Result<R, E>> + Unpin + Sized,
        Send: Default,
    {
        TryAnext {
            generator: self,
            input: PhantomData,
        }
    }

    /// The generator as a stream, which sends the default to each `yield`.
    ///
    /// One that returns a `Result` has
    /// [`try_into_stream`](AsyncGenerator::try_into_stream) instead.
    fn into_stream<UseTryIntoStream>(self) -> IntoStream<Self, Send, Throw>
    where
        Self: Sized,
        Self::Return: LoopedOver<UseTryIntoStream>,
        Send: Default,
    {
        IntoStream::new(self)
    }

    /// A generator that may fail as a stream of results, whose last item is its error.
    fn try_into_stream<R, E>(self) -> TryIntoStream<Self, Send, Throw>
    where
        Self: AsyncGenerator<Send, Throw, Return = Result<R, E>> + Sized,
        Send: Default,
    {
        TryIntoStream::new(self)
    }

    /// Sends a value to the `yield` at which the body stands, and runs it to its
    /// next item; `None` if it ends before.
    ///
    /// # Errors
    ///
    /// Gives the value back if the body stands at no `yield`: it has not been
    /// started, it has ended, or it is in the middle of a step that was cancelled.
    ///
    /// # Cancel safety
    ///
    /// The value has been sent. The body stays where it waits; the next item can
    /// be fetched with [`anext`](AsyncGenerator::anext) or
    /// [`poll_resume`](AsyncGenerator::poll_resume).
    fn asend(&mut self, value: Send) -> Resumed<'_, Self, Send, Throw, Send>
    where
        Self: Unpin + Sized,
    {
        match self.state() {
            GeneratorState::Suspended => Resumed::new(self, Some(Resume::Send(value)), None),
            state => Resumed::new(self, None, Some((state, value))),
        }
    }

    /// Throws an error at the `yield` at which the body stands, and runs the body
    /// to its next item; `None` if it ends before.
    ///
    /// The body may catch it, or let it end the body with `?`.
    ///
    /// # Errors
    ///
    /// Gives the error back, as [`asend`](AsyncGenerator::asend) does. A generator
    /// that has not been started never runs its body after that: it has ended.
    fn athrow(&mut self, error: Throw) -> Resumed<'_, Self, Send, Throw, Throw>
    where
        Self: Unpin + Sized,
    {
        match self.state() {
            GeneratorState::Suspended => Resumed::new(self, Some(Resume::Throw(error)), None),
            GeneratorState::Unstarted => Resumed::new(
                self,
                Some(Resume::Close),
                Some((GeneratorState::Unstarted, error)),
            ),
            state => Resumed::new(self, None, Some((state, error))),
        }
    }

    /// Closes the generator: its `finally` blocks run, innermost first, and wait as
    /// they need to; then the body is dropped.
    ///
    /// It is closed at the `yield` where it stands. If a step was cancelled, a wait
    /// in a `try` is given up; a body that has nothing to finish is dropped.
    /// To close a generator that has not been started, or has ended, does nothing.
    ///
    /// # Errors
    ///
    /// If a `finally` yields: the item is in the error, and the generator stands at
    /// that `yield`.
    ///
    /// # Cancel safety
    ///
    /// The `finally` stays where it waits; to call this again goes on with it.
    fn aclose(&mut self) -> Aclose<'_, Self, Send, Throw>
    where
        Self: Unpin + Sized,
    {
        Aclose {
            generator: self,
            input: Some(Resume::Close),
        }
    }
}

/// Where the body of a generator stands.
///
/// ```
/// use std::pin::pin;
/// use unspool_core::{AsyncGenerator, GeneratorState, generator};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut numbers = pin!(generator! {
///     yield 1;
/// });
/// assert_eq!(numbers.state(), GeneratorState::Unstarted);
/// assert_eq!(numbers.anext().await, Some(1));
/// assert_eq!(numbers.state(), GeneratorState::Suspended);
/// assert_eq!(numbers.anext().await, None);
/// assert_eq!(numbers.state(), GeneratorState::Ended);
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorState {
    /// Before its start.
    Unstarted,
    /// At a `yield`.
    Suspended,
    /// In a wait: a step was cancelled, or is being polled.
    Running,
    /// After its end.
    Ended,
}

/// What a body is resumed with.
///
/// ```
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
/// use unspool_core::{AsyncGenerator, Resume, generator};
///
/// let mut doubled = pin!(generator! {
///     let mut number = 1;
///     loop {
///         number = yield 2 * number;
///     }
/// });
/// let cx = &mut Context::from_waker(Waker::noop());
/// for (number, expected) in [(0, 2), (5, 10), (7, 14)] {
///     // What the first step sends is for a `yield` that has not come.
///     let step = doubled.as_mut().poll_resume(cx, &mut Some(Resume::Send(number)));
///     assert_eq!(step, Poll::Ready(Some(expected)));
/// }
/// # let _: Poll<Option<i32>> = doubled.as_mut().poll_resume(cx, &mut Some(Resume::Close));
/// ```
#[derive(Debug)]
pub enum Resume<S, T> {
    /// A value for its `yield`.
    Send(S),
    /// An error for its `yield`.
    Throw(T),
    /// That it is to close.
    Close,
}

/// A value that could not be given to a body, since that stood at no `yield`.
///
/// ```
/// use std::pin::pin;
/// use unspool_core::{AsyncGenerator, GeneratorState, generator};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut echo = pin!(generator! {
///     let word: &str = yield "ready";
///     yield word;
/// });
/// // As in Python, nothing can be sent to a generator that has not been started.
/// let rejected = echo.asend("hello").await.unwrap_err();
/// assert_eq!(rejected.state, GeneratorState::Unstarted);
/// assert_eq!(rejected.value, "hello");
/// # }).unwrap();
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected<V> {
    /// Where the body stood.
    pub state: GeneratorState,
    /// The value.
    pub value: V,
}

impl<V> fmt::Display for Rejected<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            GeneratorState::Unstarted => "the generator has not been started",
            GeneratorState::Suspended => "the generator has been started",
            GeneratorState::Running => "the generator is in the middle of a step",
            GeneratorState::Ended => "the generator has ended",
        })
    }
}

impl<V: fmt::Debug> core::error::Error for Rejected<V> {}

/// The item of a generator that yielded in a `finally` while it was being closed.
///
/// ```
/// use std::pin::pin;
/// use unspool_core::{AsyncGenerator, IgnoredClose, generator};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut stubborn = pin!(generator! {
///     try {
///         yield 1;
///     } finally {
///         yield 2;
///     }
/// });
/// assert_eq!(stubborn.anext().await, Some(1));
/// assert_eq!(stubborn.aclose().await, Err(IgnoredClose(2)));
/// # }).unwrap();
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct IgnoredClose<Y>(pub Y);

impl<Y> fmt::Display for IgnoredClose<Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the generator yielded while it was being closed")
    }
}

impl<Y: fmt::Debug> core::error::Error for IgnoredClose<Y> {}

/// A step of a generator. Made by its methods.
#[must_use = "futures do nothing unless awaited"]
pub struct Resumed<'g, G, S, T, V> {
    generator: &'g mut G,
    input: Option<Resume<S, T>>,
    misuse: Option<Rejected<V>>,
}

// What is kept to be given on or back is never pinned.
impl<G, S, T, V> Unpin for Resumed<'_, G, S, T, V> {}

impl<'g, G, S, T, V> Resumed<'g, G, S, T, V> {
    #[inline]
    fn new(
        generator: &'g mut G,
        input: Option<Resume<S, T>>,
        misuse: Option<(GeneratorState, V)>,
    ) -> Self {
        Resumed {
            generator,
            input,
            misuse: misuse.map(|(state, value)| Rejected { state, value }),
        }
    }
}

impl<G, S, T, V> Future for Resumed<'_, G, S, T, V>
where
    G: AsyncGenerator<S, T> + Unpin,
{
    type Output = Result<Option<G::Yield>, Rejected<V>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let generator = Pin::new(&mut *this.generator);
        if let Some(misuse) = this.misuse.take() {
            if let Some(Resume::Close) = this.input {
                // An unstarted body has nothing to wait for.
                let _ = generator.poll_resume(cx, &mut this.input);
            }
            return Poll::Ready(Err(misuse));
        }
        generator.poll_resume(cx, &mut this.input).map(Ok)
    }
}

/// The next item of a generator. Made by [`AsyncGenerator::anext`].
#[must_use = "futures do nothing unless awaited"]
pub struct Anext<'g, G, S, T> {
    generator: &'g mut G,
    input: PhantomData<fn(S, T)>,
}

impl<G, S, T> Future for Anext<'_, G, S, T>
where
    G: AsyncGenerator<S, T> + Unpin,
    S: Default,
{
    type Output = Option<G::Yield>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<G::Yield>> {
        let mut input = default_input(&*self.generator);
        Pin::new(&mut *self.generator).poll_resume(cx, &mut input)
    }
}

/// The next item of a generator that may fail. Made by [`AsyncGenerator::try_anext`].
#[must_use = "futures do nothing unless awaited"]
pub struct TryAnext<'g, G, S, T> {
    generator: &'g mut G,
    input: PhantomData<fn(S, T)>,
}

impl<G, S, T, R, E> Future for TryAnext<'_, G, S, T>
where
    G: AsyncGenerator<S, T, Return = Result<R, E>> + Unpin,
    S: Default,
{
    type Output = Result<Option<G::Yield>, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_fallible(Pin::new(&mut *self.generator), cx)
    }
}

/// The next item, the error, or the end.
#[inline]
fn poll_fallible<G, S, T, R, E>(
    mut generator: Pin<&mut G>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<G::Yield>, E>>
where
    G: AsyncGenerator<S, T, Return = Result<R, E>>,
    S: Default,
{
    let mut input = default_input(&*generator);
    generator
        .as_mut()
        .poll_resume(cx, &mut input)
        .map(|item| match item {
            Some(item) => Ok(Some(item)),
            None => match generator.take_return_if(Result::is_err) {
                Some(Err(error)) => Err(error),
                _ => Ok(None),
            },
        })
}

/// The closing of a generator. Made by [`AsyncGenerator::aclose`].
#[must_use = "futures do nothing unless awaited"]
pub struct Aclose<'g, G, S, T> {
    generator: &'g mut G,
    input: Option<Resume<S, T>>,
}

impl<G, S, T> Unpin for Aclose<'_, G, S, T> {}

impl<G, S, T> Future for Aclose<'_, G, S, T>
where
    G: AsyncGenerator<S, T> + Unpin,
{
    type Output = Result<(), IgnoredClose<G::Yield>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let generator = Pin::new(&mut *this.generator);
        generator
            .poll_resume(cx, &mut this.input)
            .map(|item| match item {
                None => Ok(()),
                Some(item) => Err(IgnoredClose(item)),
            })
    }
}

/// A generator into which nothing goes.
impl<Y, F, B> AsyncGenerator for Generator<Y, (), F, B, Returns>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
{
    type Yield = Y;
    type Return = B::Output;

    fn state(&self) -> GeneratorState {
        match (self.is_unstarted(), self.is_ended()) {
            (true, _) => GeneratorState::Unstarted,
            (_, true) => GeneratorState::Ended,
            _ => GeneratorState::Suspended,
        }
    }

    #[inline]
    fn poll_resume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        input: &mut Option<Resume<(), Infallible>>,
    ) -> Poll<Option<Y>> {
        if let Some(Resume::Close) = input.take() {
            self.end();
            return Poll::Ready(None);
        }
        self.run(cx, false)
    }

    #[inline]
    fn take_return_if(
        self: Pin<&mut Self>,
        is_wanted: fn(&B::Output) -> bool,
    ) -> Option<B::Output> {
        self.take_output_if(is_wanted)
    }
}

/// A generator into which values go.
impl<Y, M, X, F, B> AsyncGenerator<M::Send, M::Throw> for Generator<Y, Port<M, X>, F, B, Returns>
where
    M: Mode,
    X: Extra + Delegates<Y, M::Send, M::Throw>,
    F: FnOnce(Yielder<Y, Port<M, X>>) -> B,
    B: Future,
{
    type Yield = Y;
    type Return = B::Output;

    #[inline]
    fn state(&self) -> GeneratorState {
        if let Some(state) = self.state_of_inner() {
            return state;
        }
        match self.tag() {
            Tag::AtYield => GeneratorState::Suspended,
            Tag::Unstarted => GeneratorState::Unstarted,
            Tag::Ended | Tag::EndedWithItem | Tag::Empty => GeneratorState::Ended,
            Tag::Running | Tag::Close | Tag::Done | Tag::Panicked => GeneratorState::Running,
        }
    }

    #[inline]
    fn poll_resume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        input: &mut Option<Resume<M::Send, M::Throw>>,
    ) -> Poll<Option<Y>> {
        let mut is_ready = false;
        if self.peek().links().is_some_and(|links| links.is_linked()) {
            if input.is_none() && self.state() == GeneratorState::Suspended {
                no_input();
            }
            if let Some(polled) = self.as_mut().resume_inner(cx, input) {
                return polled;
            }
        } else if self.is_at_yield() {
            match input.take() {
                Some(Resume::Send(value)) => {
                    self.as_mut().send(M::sent(value));
                    is_ready = true;
                }
                Some(Resume::Throw(error)) => {
                    self.as_mut().send(M::thrown(error));
                    is_ready = true;
                }
                Some(Resume::Close) if self.as_mut().close() => {}
                Some(Resume::Close) => {
                    self.end();
                    return Poll::Ready(None);
                }
                None => no_input(),
            }
        } else if let Some(Resume::Close) = input {
            *input = None;
            if !self.as_mut().close() {
                self.end();
                return Poll::Ready(None);
            }
        }
        self.run(cx, is_ready)
    }

    #[inline]
    fn take_return_if(
        self: Pin<&mut Self>,
        is_wanted: fn(&B::Output) -> bool,
    ) -> Option<B::Output> {
        self.take_output_if(is_wanted)
    }

    #[expect(
        unsafe_code,
        reason = "a declaration; `raw::yield_in` has the argument"
    )]
    #[inline]
    unsafe fn chain(self: Pin<&mut Self>) -> Option<Chain<Y, M::Send, M::Throw>> {
        self.peek().links()?.chain()
    }
}

#[cold]
fn no_input() -> ! {
    panic!("a body that stands at a `yield` was resumed without a value for it")
}

/// What `stream!` and `try_stream!` make.
impl<Y, F, B, E> Stream for Generator<Y, (), F, B, E>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
    E: Ending<Y, B::Output> + StreamEnding,
{
    type Item = Y;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Y>> {
        self.run(cx, false)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.is_ended().then_some(0))
    }
}

impl<Y, F, B, E> FusedStream for Generator<Y, (), F, B, E>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
    E: Ending<Y, B::Output> + StreamEnding,
{
    #[inline]
    fn is_terminated(&self) -> bool {
        self.is_ended()
    }
}

impl<G, S, T> Stream for IntoStream<G, S, T>
where
    G: AsyncGenerator<S, T>,
    S: Default,
{
    type Item = G::Yield;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<G::Yield>> {
        let mut input = default_input(self.get());
        self.generator().poll_resume(cx, &mut input)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.is_terminated().then_some(0))
    }
}

impl<G, S, T> FusedStream for IntoStream<G, S, T>
where
    G: AsyncGenerator<S, T>,
    S: Default,
{
    #[inline]
    fn is_terminated(&self) -> bool {
        self.get().state() == GeneratorState::Ended
    }
}

impl<G, S, T, R, E> Stream for TryIntoStream<G, S, T>
where
    G: AsyncGenerator<S, T, Return = Result<R, E>>,
    S: Default,
{
    type Item = Result<G::Yield, E>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_fallible(self.generator(), cx).map(Result::transpose)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.is_terminated().then_some(0))
    }
}

impl<G, S, T, R, E> FusedStream for TryIntoStream<G, S, T>
where
    G: AsyncGenerator<S, T, Return = Result<R, E>>,
    S: Default,
{
    #[inline]
    fn is_terminated(&self) -> bool {
        self.get().state() == GeneratorState::Ended
    }
}

/// The default value for a body that stands at a `yield`.
#[inline]
fn default_input<G, S, T>(generator: &G) -> Option<Resume<S, T>>
where
    G: AsyncGenerator<S, T>,
    S: Default,
{
    match generator.state() {
        GeneratorState::Suspended => Some(Resume::Send(S::default())),
        _ => None,
    }
}

/// Forwards all methods of a pointer to what it points to.
macro_rules! forward {
    ($pointer:ty) => {
        impl<G, S, T> AsyncGenerator<S, T> for Pin<$pointer>
        where
            G: AsyncGenerator<S, T> + ?Sized,
        {
            type Yield = G::Yield;
            type Return = G::Return;

            #[inline]
            fn state(&self) -> GeneratorState {
                (**self).state()
            }

            #[inline]
            fn poll_resume(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                input: &mut Option<Resume<S, T>>,
            ) -> Poll<Option<G::Yield>> {
                self.as_deref_mut().poll_resume(cx, input)
            }

            #[inline]
            fn take_return_if(
                self: Pin<&mut Self>,
                is_wanted: fn(&G::Return) -> bool,
            ) -> Option<G::Return> {
                self.as_deref_mut().take_return_if(is_wanted)
            }

            #[expect(
                unsafe_code,
                reason = "hands on what the caller has to see to; fact 9 of `raw::yield_in`"
            )]
            #[inline]
            unsafe fn chain(self: Pin<&mut Self>) -> Option<Chain<G::Yield, S, T>> {
                // SAFETY: only this pointer leads to the generator, and it is `Send`
                // and `Sync` only if that is.
                unsafe { self.as_deref_mut().chain() }
            }
        }
    };
}

forward!(&mut G);
#[cfg(feature = "alloc")]
forward!(alloc::boxed::Box<G>);
