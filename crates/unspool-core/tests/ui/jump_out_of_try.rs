use unspool_core::generator;

fn main() {
    let _ = generator! {
        'outer: loop {
            try {
                yield 1;
                for number in 0..3 {
                    if number == 1 {
                        break;
                    }
                    continue 'outer;
                }
                break;
            } finally {
                continue;
            }
        }
    };
}
