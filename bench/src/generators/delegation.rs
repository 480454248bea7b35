//! What it costs to yield from another generator, by depth: rows of their own, since
//! no other crate has it.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_core::Stream;
use unspool_core::{AsyncGenerator, generator, stream};

use super::layout;
use super::meter::Meter;

const DEPTHS: [u64; 4] = [1, 4, 8, 64];

/// Prints the table, and what the deepest costs in terms of the flattest.
pub(crate) fn compare(meter: Meter, program: &Path) -> Result<(), Box<dyn Error>> {
    let names: Vec<_> = DEPTHS.map(|depth| format!("depth {depth}")).into();
    let heads = names.iter().map(String::as_str).chain(["64 / 1", "tree"]);
    layout::columns(&format!("{}, delegated", meter.unit()), heads);
    for row in ["yield in", "for await"] {
        let read = |shape: String| meter.read(program, &format!("delegation/{shape}/{row}"));
        let mut cells = DEPTHS
            .iter()
            .map(|depth| read(depth.to_string()))
            .collect::<Result<Vec<_>, _>>()?;
        cells.push(cells[3].zip(cells[0]).map(|(deep, flat)| deep / flat));
        cells.push(read("tree".to_owned())?);
        layout::row(row, &cells, 2);
    }
    Ok(())
}

/// The answer of one cell: the sum of a run, or the time that it takes an item.
pub(crate) fn answer(probe: &str, name: &str, count: u64) -> Option<f64> {
    let start = Instant::now();
    let sum = run(name, count)?;
    match probe {
        "wall" => Some(start.elapsed().as_nanos() as f64 / count as f64),
        _ => Some(sum),
    }
}

fn run(name: &str, count: u64) -> Option<f64> {
    let (shape, row) = name.split_once('/')?;
    let items: Items = match (row, shape.parse()) {
        ("yield in", Ok(depth)) => Box::pin(chain(depth, count).into_stream()),
        ("yield in", Err(_)) => Box::pin(tree(0, count).into_stream()),
        ("for await", Ok(depth)) => loops(depth, count),
        _ => looping_tree(0, count),
    };
    Some(sum(items, count) as f64)
}

type Generator = Pin<Box<dyn AsyncGenerator<Yield = u64, Return = ()>>>;
type Items = Pin<Box<dyn Stream<Item = u64>>>;

/// Generators that do nothing but yield from the next, in boxes of one type.
fn chain(depth: u64, count: u64) -> Generator {
    if depth == 0 {
        return Box::pin(generator! {
            for index in 0..count {
                yield index;
            }
        });
    }
    Box::pin(generator! {
        yield in chain(depth - 1, count);
    })
}

/// The nodes of a balanced tree, each a generator that yields from two.
fn tree(from: u64, to: u64) -> Generator {
    Box::pin(generator! {
        let middle = from.midpoint(to);
        yield middle;
        if from < middle {
            yield in tree(from, middle);
        }
        if middle + 1 < to {
            yield in tree(middle + 1, to);
        }
    })
}

fn loops(depth: u64, count: u64) -> Items {
    if depth == 0 {
        return Box::pin(stream! {
            for index in 0..count {
                yield index;
            }
        });
    }
    Box::pin(stream! {
        for await item in loops(depth - 1, count) {
            yield item;
        }
    })
}

fn looping_tree(from: u64, to: u64) -> Items {
    Box::pin(stream! {
        let middle = from.midpoint(to);
        yield middle;
        if from < middle {
            for await item in looping_tree(from, middle) {
                yield item;
            }
        }
        if middle + 1 < to {
            for await item in looping_tree(middle + 1, to) {
                yield item;
            }
        }
    })
}

/// Polls to the end.
///
/// # Panics
///
/// Panics unless it is the sum of `0..count`.
fn sum(mut items: Items, count: u64) -> u64 {
    let mut context = Context::from_waker(black_box(Waker::noop()));
    let mut sum = 0;
    while let Poll::Ready(Some(item)) = items.as_mut().poll_next(&mut context) {
        sum += black_box(item);
    }
    assert_eq!(sum, count * (count - 1) / 2, "sum of {count} items");
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_yields_every_item() {
        for row in ["yield in", "for await"] {
            for shape in ["1", "4", "64", "tree"] {
                assert_eq!(run(&format!("{shape}/{row}"), 100), Some(4950.0));
            }
        }
    }
}
