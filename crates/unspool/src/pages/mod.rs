//! Paginated HTTP APIs.
//!
//! *Upstream*: an HTTP API that answers `GET`, or `POST` of a JSON document, with
//! pages. *Order*: as the server gives them. *Ends when*: the upstream says so (see
//! [`Paginate`]); a body or a walk that stops otherwise is an error or a doubt.
//! *Resumes from*: any item (see [`Position`]). *Cost*: one request a page, made when
//! its first item is asked for, and what it takes to prove how to get to the second;
//! memory for one item and the text around the items, and up to 8 MiB for [pages in
//! flight](Request::in_flight). *Auth*: headers, user and password, tokens, keys and
//! cookies, given to the origin of the first URL only.

mod account;
mod again;
mod ahead;
mod audit;
mod change;
mod description;
mod fetch;
pub(crate) mod kinds;
mod page;
mod place;
mod position;
mod progress;
mod prove;
mod request;
mod seen;
pub(crate) mod stated;
mod trail;
mod walk;

pub use account::{Account, Doubt, Ended, Try, Walked};
pub use description::Description;
pub(crate) use description::SOURCE;
pub use kinds::*;
pub use place::{At, To};
pub use progress::Walk;
pub use request::Request;

pub use crate::item::RawItem;
pub use crate::position::Position;
use crate::source::SourceStream;

/// The items of a paginated API, page after page. Made by [`Request::items`] and
/// [`Request::raw`].
///
/// It is in the example of [`Paginate`].
pub type Pages<T> = SourceStream<T, Walk>;

/// Starts the description of a walk over a paginated API.
///
/// Nothing is sent, or even checked, before the first item is asked for.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// #[derive(serde::Deserialize)]
/// struct Post {
///     title: String,
/// }
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut posts = unspool::pages("https://api.example.com/posts").items::<Post>();
/// while let Some(post) = posts.try_next().await? {
///     println!("{}", post.title);
/// }
/// println!("{} items, and that was all", posts.account().items);
/// # Ok(())
/// # }
/// ```
pub fn pages(url: impl AsRef<str>) -> Request {
    Request::new(url.as_ref())
}
