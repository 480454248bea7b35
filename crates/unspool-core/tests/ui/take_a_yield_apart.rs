//! A macro that takes the expansion of a `yield` apart, in order to use its parts where
//! no `yield` may stand.
#![forbid(unsafe_code)]
use unspool_core::stream;

macro_rules! take_apart {
    ({
        let $item:ident = $value:expr;
        $(#[$allow:meta])*
        if false { $($check:tt)* }
        $unsafe:ident { $yielder:ident.$put:ident($argument:ident) }.await
    }) => {
        async move {
            let $item = $value;
            $unsafe { $yielder.$put($argument) }.await
        }
    };
}

fn main() {
    let _ = stream! {
        let kept = take_apart!(yield 1);
        kept.await;
    };
}
