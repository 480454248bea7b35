use unspool_core::{generator, stream};

fn main() {
    let _ = generator! {
        try {
            yield 1;
        }
        yield 2;
    };
    let _ = generator! {
        tokio::select! {
            _ = async {} => try { yield 1; },
        }
    };
    let _ = stream! {
        try { yield 1; }
    };
}
