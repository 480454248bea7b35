//! Jumps that a macro hides, which would pass by the `finally`.
use unspool_core::generator;

macro_rules! stop {
    () => {
        break
    };
    ($label:lifetime) => {
        break $label
    };
}

macro_rules! next {
    () => {
        continue
    };
}

fn main() {
    let _ = generator! {
        'rows: loop {
            macro_rules! leave {
                () => {
                    break 'rows
                };
            }
            try {
                yield 1;
                stop!();
                next!();
                stop!('rows);
                leave!();
            } finally {
                println!("must not be passed by");
            }
        }
    };
    let _ = generator! {
        loop {
            try {
                yield 1;
            } finally {
                stop!();
            }
        }
    };
}
