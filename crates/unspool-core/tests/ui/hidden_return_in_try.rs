//! Exits that a macro hides, which would pass by the `finally`.
use unspool_core::generator;

macro_rules! bail {
    ($error:expr) => {
        return Err($error.into())
    };
}

macro_rules! stop {
    () => {
        return
    };
}

macro_rules! attempt {
    ($result:expr) => {
        $result?
    };
}

fn main() {
    let _ = generator! {
        try {
            yield 1;
            bail!("gone");
        } finally {
            println!("must not be passed by");
        }
        Ok::<(), String>(())
    };
    let _ = generator! {
        try {
            yield 1;
            attempt!(Err("gone"));
        } finally {
            println!("must not be passed by");
        }
        Ok::<(), String>(())
    };
    let _ = generator! {
        try {
            yield 1;
        } finally {
            stop!();
        }
    };
    let _ = generator! {
        tokio::select! {
            () = async {} => try {
                stop!();
            } finally {
                println!("must not be passed by");
            }
        }
    };
}
