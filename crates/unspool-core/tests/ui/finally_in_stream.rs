use unspool_core::{generator, stream};

fn main() {
    let _ = stream! {
        try {
            yield 1;
        } finally {
            println!("never");
        }
    };
    let _ = generator! {
        yield 1;
        let later = async {
            try {
                std::future::ready(()).await;
            } finally {
                println!("never");
            }
        };
        later.await;
    };
}
