//! What an editor sees while somebody writes: the error is at the token, and the rest is
//! expanded, which the errors in the types show.
use unspool_core::{generator, stream, try_stream};

fn main() {
    let numbers = stream! {
        let first = 1u8;
        yield first;
        let wrong: &str = first;
        let second = ;
        if first == 1 {
            yield first;
            first.
        }
    };
    let texts = try_stream! {
        yield "text";
        for text in ["a", "b"] {
            text.len()
            yield text;
        }
        let wrong: u8 = "text";
        Err(1)?;
    };
    let sums = generator! {
        let sent: u8 = yield 1;
        match sent
    };
}
