use std::pin::pin;

use unspool_core::{AsyncGenerator, generator};

fn main() {
    let mut generator = pin!(generator! {
        let _: u8 = yield 1;
    });
    let _ = generator.athrow("an error");
}
