use unspool_core::stream;

macro_rules! later {
    ($expression:expr) => {
        || $expression
    };
}

fn main() {
    let _ = stream! {
        let again = later!(yield 1);
        again();
    };
}
