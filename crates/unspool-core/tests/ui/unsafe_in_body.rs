//! The macro's own `unsafe` must not extend to the user's code.
use unspool_core::{generator, stream, try_stream};

unsafe fn dangerous() -> u8 {
    1
}

fn failing() -> impl futures_util::Stream<Item = Result<u8, String>> {
    try_stream! {
        yield dangerous();
        Err("no")?;
    }
}

fn main() {
    let _ = failing();
    let _ = stream! {
        dangerous();
        yield dangerous();
    };
    let _ = generator! {
        try {
            let _: u8 = yield dangerous();
            std::future::ready(dangerous()).await;
        } finally {
            dangerous();
        }
        let () = yield in generator! { let _: u8 = yield dangerous(); };
    };
}
