//! Which generators may fail, so that nobody loops over one and loses its error.

/// What a body returns, by the method that loops over its items.
///
/// A `Result` is of both kinds, so that which one is meant cannot be inferred, and a method
/// with this bound does not compile; its type parameter has the name of the one to call.
/// Everything else is of one kind. So is a type that the compiler does not know, as in
/// `impl AsyncGenerator<Yield = u8>`, which has no error that could be looked at.
pub trait LoopedOver<K> {}

/// By `anext` or `into_stream`.
pub enum ByAnext {}

/// By `try_anext` or `try_into_stream`, which give the error.
pub enum ByTryAnext {}

impl<R> LoopedOver<ByAnext> for R {}
impl<R, E> LoopedOver<ByTryAnext> for Result<R, E> {}
