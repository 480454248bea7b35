use super::{Kind, KindEntry, Next, PageEnd, Paginate};
use crate::error::Error;
use crate::pages::account::Ended;

pub(super) const ENTRY: KindEntry = KindEntry {
    name: "single",
    syntax: "",
    about: "one page, whatever it says of others",
    parse: |_| Ok(Box::new(Single::new())),
    detect: |_| Vec::new(),
};

/// One page, whatever it says of others.
///
/// ```
/// use unspool::pages::Single;
///
/// let posts = unspool::pages("https://api.example.com/posts")
///     .paginate(Single::new())
///     .raw();
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Single {
    _private: (),
}

impl Single {
    /// One page.
    #[must_use]
    pub fn new() -> Self {
        Single::default()
    }
}

impl From<Single> for Paginate {
    fn from(single: Single) -> Self {
        Paginate::new(single)
    }
}

impl Kind for Single {
    fn describe(&self) -> String {
        ENTRY.name.to_owned()
    }

    fn after(&mut self, _: &PageEnd) -> Result<Next, Error> {
        Ok(Next::End(Ended::Asked))
    }
}
