//! What the macros call is unsafe to call by hand.
use unspool_core::__private;

fn main() {
    let mut kept = None;
    let _ = __private::stream(|yielder: __private::Yielder<u8>| {
        kept = Some(yielder);
        async {}
    });
}
