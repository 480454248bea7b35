use unspool_core::generator;

fn main() {
    let _ = generator! {
        let number = loop {
            try {
                yield 1;
                break 2;
            } finally {
                break 3;
            }
        };
        number
    };
}
