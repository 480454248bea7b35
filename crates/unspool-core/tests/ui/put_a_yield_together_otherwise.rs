//! What a macro sees of a `yield`, put into an async block.
use unspool_core::stream;

macro_rules! put_together {
    ({
        let $item:ident = $value:expr;
        $name:ident!($argument:ident)
    }) => {
        async move {
            let $item = $value;
            $name!($argument)
        }
    };
}

fn main() {
    let _ = stream! {
        let kept = put_together!(yield 1);
        kept.await;
    };
}
