//! A `try` that a macro puts into an async block, which then outlives the generator:
//! what marks the block as left must not be reached from there.
use unspool_core::generator;

macro_rules! asynk {
    ($e:expr) => {
        async move { $e }
    };
}

fn main() {
    let _ = generator! {
        try {
            yield 1;
        } finally {
            println!("last");
        }
        asynk!(for await _ in futures_util::stream::iter([1]) {
            try {
                println!("begin");
            } finally {
                println!("end");
            }
        })
    };
    let _ = generator! {
        let mut last = None;
        try {
            yield 1;
        } finally {
            last = Some(asynk!(for await _ in futures_util::stream::iter([1]) {
                return;
            }));
        }
        last
    };
}
