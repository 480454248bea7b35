//! What the macros call is unsafe to call by hand.
use unspool_core::__private;

fn main() {
    let mut kept = None;
    let make = |yielder: __private::Yielder<u8>| {
        kept = Some(yielder);
        async {}
    };
    let _ = __private::stream(make, __private::Promise::new());
}
