//! Thousands of random programs over generators: each step, close, drop, move and
//! panic at a random place, from a seed that a failure names.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt};
use unspool_core::{
    AnextExt, AsyncGenerator, GeneratorState, Resume, generator, stream, stream_fn,
};

/// Fewer for an interpreter.
const PROGRAMS: u64 = if cfg!(miri) { 20 } else { 4000 };

/// A small generator of random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[derive(Debug)]
enum Op {
    Yield,
    Nap,
    Guarded,
    Panic,
    /// To yield from another one, which is in a box or lent by it.
    Delegate(Vec<Op>, bool),
}

/// A script that delegates so deep at most.
fn script(random: &mut Random, depth: u32) -> Vec<Op> {
    let length = random.below(8);
    (0..length)
        .map(|_| match random.below(if depth > 0 { 30 } else { 20 }) {
            0 => Op::Panic,
            1..5 => Op::Nap,
            5..9 => Op::Guarded,
            9..20 => Op::Yield,
            _ => Op::Delegate(script(random, depth - 1), random.below(2) == 0),
        })
        .collect()
}

/// What is left of a program.
#[derive(Clone, Default)]
struct Trace {
    /// Each item and each body holds one of these.
    token: Rc<()>,
    entered: Rc<Cell<u32>>,
    finished: Rc<Cell<u32>>,
    /// What came of each step.
    steps: Rc<RefCell<Vec<String>>>,
    is_opaque: bool,
}

async fn nap() {
    let mut slept = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut slept, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

type Item = (usize, Rc<()>);

type Boxed = Pin<Box<dyn AsyncGenerator<u8, u8, Yield = Item, Return = Result<u8, u8>>>>;

fn boxed(ops: Vec<Op>, trace: Trace) -> Boxed {
    match trace.is_opaque {
        false => Box::pin(two_way(ops, trace, false)),
        true => Box::pin(Opaque(Box::pin(two_way(ops, trace, false)))),
    }
}

/// Hides from what yields from it what it yields from in turn: each item passes
/// through all levels.
struct Opaque<G>(Pin<Box<G>>);

impl<G: AsyncGenerator<u8, u8>> AsyncGenerator<u8, u8> for Opaque<G> {
    type Yield = G::Yield;
    type Return = G::Return;

    fn state(&self) -> GeneratorState {
        self.0.state()
    }

    fn poll_resume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        input: &mut Option<Resume<u8, u8>>,
    ) -> Poll<Option<G::Yield>> {
        self.0.as_mut().poll_resume(cx, input)
    }

    fn take_return_if(
        mut self: Pin<&mut Self>,
        is_wanted: fn(&G::Return) -> bool,
    ) -> Option<G::Return> {
        self.0.as_mut().take_return_if(is_wanted)
    }
}

fn two_way(
    ops: Vec<Op>,
    trace: Trace,
    panics_late: bool,
) -> impl AsyncGenerator<u8, u8, Yield = Item, Return = Result<u8, u8>> {
    generator! {
        #![throws(u8)]
        let held = Rc::clone(&trace.token);
        let mut sum = 0u8;
        trace.entered.set(trace.entered.get() + 1);
        try {
            for (index, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Nap => nap().await,
                    Op::Panic => panic!("on purpose"),
                    Op::Delegate(ops, false) => {
                        match yield in boxed(ops, trace.clone()) {
                            Ok(inner) => sum = sum.wrapping_add(inner),
                            Err(caught) if caught < 192 => sum = 0,
                            Err(thrown) => Err(thrown)?,
                        }
                    }
                    Op::Delegate(ops, true) => {
                        let mut lent = boxed(ops, trace.clone());
                        try {
                            sum ^= (yield in lent.as_mut())?;
                        } finally {
                            nap().await;
                            // It has ended or been closed, whichever way this was left.
                            assert_eq!(lent.state(), GeneratorState::Ended);
                        }
                    }
                    Op::Yield => {
                        let input = yield (index, Rc::clone(&held));
                        match input {
                            Ok(sent) => sum = sum.wrapping_add(sent),
                            Err(caught) if caught < 128 => sum = 0,
                            Err(thrown) => Err(thrown)?,
                        }
                    }
                    Op::Guarded => {
                        trace.entered.set(trace.entered.get() + 1);
                        try {
                            nap().await;
                            sum = (yield (index, Rc::clone(&held)))?;
                            nap().await;
                        } finally {
                            nap().await;
                            trace.finished.set(trace.finished.get() + 1);
                        }
                    }
                }
            }
        } finally {
            if panics_late {
                panic!("on purpose, late");
            }
            nap().await;
            trace.finished.set(trace.finished.get() + 1);
        }
        Ok(sum)
    }
}

/// How a program ended.
#[derive(Debug, PartialEq)]
enum End {
    /// The body came to its end, or was closed.
    Proper,
    Dropped,
    Forgotten,
    Panicked,
}

/// Does random things to a generator until it has ended or is gone.
fn drive<G>(random: &mut Random, generator: G, trace: &Trace) -> End
where
    G: AsyncGenerator<u8, u8, Yield = Item>,
{
    // It may move as long as it has not been started, and has by now.
    let mut generator: Pin<Box<G>> = Box::pin(generator);
    for _ in 0..200 {
        if generator.state() == GeneratorState::Ended {
            generator.as_mut().take_return();
            return End::Proper;
        }
        let action = random.below(24);
        let value = random.below(256) as u8;
        let step = catch_unwind(AssertUnwindSafe(|| match action {
            0 => format!("{:?}", generator.aclose().now_or_never()),
            1..4 => format!("{:?}", generator.athrow(value).now_or_never()),
            4..10 => format!("{:?}", generator.asend(value).now_or_never()),
            10..12 => format!("{:?}", generator.start().now_or_never()),
            _ => format!("{:?}", generator.anext().now_or_never()),
        }));
        trace.steps.borrow_mut().push(format!(
            "{action} {step:?} {:?} {} {}",
            generator.state(),
            trace.entered.get(),
            trace.finished.get()
        ));
        match (step, action) {
            (Err(_), _) => return End::Panicked,
            (_, 22) => return End::Dropped,
            (_, 23) if value < 32 => {
                std::mem::forget(generator);
                return End::Forgotten;
            }
            _ => {}
        }
    }
    // Closed for good, through whatever its `finally` blocks yield.
    for _ in 0..200 {
        match catch_unwind(AssertUnwindSafe(|| generator.aclose().now_or_never())) {
            Ok(Some(Ok(()))) => return End::Proper,
            Ok(_) => {}
            Err(_) => return End::Panicked,
        }
    }
    panic!("it does not close");
}

#[test]
fn finally_runs_once_and_nothing_leaks_or_is_dropped_twice() {
    let mut ends = [0; 4];
    for seed in 1..=PROGRAMS {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let trace = Trace::default();
        let panics_late = random.below(20) == 0;
        let depth = random.below(7) as u32;
        let generator = two_way(script(&mut random, depth), trace.clone(), panics_late);
        let end = drive(&mut random, generator, &trace);
        let (entered, finished) = (trace.entered.get(), trace.finished.get());
        match end {
            End::Proper => assert_eq!(entered, finished, "seed {seed}"),
            _ => assert!(finished <= entered, "seed {seed}"),
        }
        if end != End::Forgotten {
            assert_eq!(Rc::strong_count(&trace.token), 1, "seed {seed}, {end:?}");
        }
        ends[end as usize] += 1;
    }
    let is_varied = ends.iter().all(|count| *count > PROGRAMS / 100);
    assert!(is_varied || cfg!(miri), "{ends:?}");
}

#[test]
fn a_chain_does_what_passing_through_every_level_does() {
    for seed in 1..=PROGRAMS {
        let run = |is_opaque| {
            let mut random = Random(seed.wrapping_mul(0xD134_2543_DE82_EF95));
            let trace = Trace {
                is_opaque,
                ..Trace::default()
            };
            let generator = two_way(script(&mut random, 5), trace.clone(), false);
            let end = drive(&mut random, generator, &trace);
            (end, trace.steps.take())
        };
        assert_eq!(run(false), run(true), "seed {seed}");
    }
}

fn one_way(ops: Vec<Op>, token: Rc<()>) -> impl Stream<Item = Item> {
    stream! {
        for (index, op) in ops.into_iter().enumerate() {
            match op {
                Op::Nap => nap().await,
                Op::Panic => panic!("on purpose"),
                Op::Delegate(..) => unreachable!(),
                Op::Yield | Op::Guarded => yield (index, Rc::clone(&token)),
            }
        }
    }
}

fn function(ops: Vec<Op>, token: Rc<()>) -> impl Stream<Item = Item> {
    stream_fn(async move |mut y| {
        for (index, op) in ops.into_iter().enumerate() {
            match op {
                Op::Nap => nap().await,
                Op::Panic => panic!("on purpose"),
                Op::Delegate(..) => unreachable!(),
                Op::Yield => y.yield_item((index, Rc::clone(&token))).await,
                // Dropped after its poll: handed out all the same.
                Op::Guarded => {
                    // After a wait there is room for it.
                    nap().await;
                    let item = y.yield_item((index, Rc::clone(&token)));
                    assert!(item.now_or_never().is_none());
                }
            }
        }
    })
}

/// Polls two streams at random, through `select` and `join`, and moves on.
fn race(
    random: &mut Random,
    left: impl Stream<Item = Item>,
    right: impl Stream<Item = Item>,
) -> [Vec<usize>; 2] {
    let (mut left, mut right) = (Box::pin(left), Box::pin(right));
    let mut seen = [Vec::new(), Vec::new()];
    for _ in 0..100 {
        let choice = random.below(4);
        let polled = catch_unwind(AssertUnwindSafe(|| match choice {
            0 => [left.anext().now_or_never().flatten(), None],
            1 => [None, right.next().now_or_never().flatten()],
            2 => {
                let both = futures_util::future::join(
                    std::future::poll_fn(|cx| Poll::Ready(left.poll_next_unpin(cx))),
                    std::future::poll_fn(|cx| Poll::Ready(right.poll_next_unpin(cx))),
                );
                let (left, right) = both
                    .now_or_never()
                    .unwrap_or((Poll::Pending, Poll::Pending));
                [ready(left), ready(right)]
            }
            _ => match futures_util::future::select(left.next(), right.next()).now_or_never() {
                Some(futures_util::future::Either::Left((item, _))) => [item, None],
                Some(futures_util::future::Either::Right((item, _))) => [None, item],
                None => [None, None],
            },
        }));
        let Ok(items) = polled else { break };
        for (seen, item) in seen.iter_mut().zip(items) {
            seen.extend(item.map(|(index, _)| index));
        }
    }
    seen
}

fn ready(item: Poll<Option<Item>>) -> Option<Item> {
    match item {
        Poll::Ready(item) => item,
        Poll::Pending => None,
    }
}

#[test]
fn streams_keep_their_order_and_their_items_apart() {
    for seed in 1..=PROGRAMS {
        let mut random = Random(seed.wrapping_mul(0x2545_F491_4F6C_DD1D));
        let token = Rc::new(());
        let (left, right) = (script(&mut random, 0), script(&mut random, 0));
        let expected: Vec<Vec<usize>> = [&left, &right]
            .map(|ops| {
                let indices = ops.iter().enumerate();
                indices
                    .filter(|(_, op)| matches!(op, Op::Yield | Op::Guarded))
                    .map(|(index, _)| index)
                    .collect()
            })
            .into();
        let seen = race(
            &mut random,
            one_way(left, Rc::clone(&token)),
            function(right, Rc::clone(&token)),
        );
        for (seen, expected) in seen.iter().zip(&expected) {
            assert!(
                expected.starts_with(seen),
                "seed {seed}: {seen:?} of {expected:?}"
            );
        }
        assert_eq!(Rc::strong_count(&token), 1, "seed {seed}");
    }
}

/// Does what no generator may: ends and goes on, leaves what it is sent, says anything
/// about where it stands.
struct Liar {
    random: Random,
    token: Rc<()>,
}

impl AsyncGenerator<u8, u8> for Liar {
    type Yield = Item;
    type Return = Result<u8, u8>;

    fn state(&self) -> GeneratorState {
        match self.random.0 % 4 {
            0 => GeneratorState::Unstarted,
            1 => GeneratorState::Running,
            2 => GeneratorState::Ended,
            _ => GeneratorState::Suspended,
        }
    }

    fn poll_resume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        input: &mut Option<Resume<u8, u8>>,
    ) -> Poll<Option<Item>> {
        if self.random.below(2) == 0 {
            *input = None;
        }
        match self.random.below(8) {
            0 => panic!("on purpose"),
            1 => Poll::Ready(None),
            2..4 => Poll::Pending,
            index => Poll::Ready(Some((index as usize, Rc::clone(&self.token)))),
        }
    }

    fn take_return_if(
        mut self: Pin<&mut Self>,
        _: fn(&Result<u8, u8>) -> bool,
    ) -> Option<Result<u8, u8>> {
        match self.random.below(4) {
            0 => None,
            value => Some(Ok(value as u8)),
        }
    }
}

/// Yields from a liar that lies in its frame, or in that of one that it yields from.
fn deceived(
    depth: u64,
    random: Random,
    trace: Trace,
) -> impl AsyncGenerator<u8, u8, Yield = Item, Return = Result<u8, u8>> {
    let boxed = move |random, trace| -> Boxed { Box::pin(deceived(depth - 1, random, trace)) };
    generator! {
        #![throws(u8)]
        let token = Rc::clone(&trace.token);
        let mut last = Ok(0);
        for seed in 1..4 {
            let random = Random(random.0.wrapping_mul(seed) | 1);
            try {
                last = match depth {
                    0 => yield in Liar { random, token: Rc::clone(&token) },
                    _ => yield in boxed(random, trace.clone()),
                };
            } finally {
                nap().await;
            }
        }
        last
    }
}

#[test]
fn a_generator_that_lies_does_no_harm() {
    let mut ends = [0; 4];
    for seed in 1..=PROGRAMS {
        let mut random = Random(seed.wrapping_mul(0xBF58_476D_1CE4_E5B9));
        let trace = Trace::default();
        let depth = random.below(4);
        let inner = Random(random.below(u64::MAX) | 1);
        let generator = deceived(depth, inner, trace.clone());
        let end = catch_unwind(AssertUnwindSafe(|| drive(&mut random, generator, &trace)));
        let Ok(end) = end else {
            // It never closes, or lies to `drive` itself.
            continue;
        };
        if end != End::Forgotten {
            assert_eq!(Rc::strong_count(&trace.token), 1, "seed {seed}, {end:?}");
        }
        ends[end as usize] += 1;
    }
    let is_varied = ends.iter().all(|count| *count > 0);
    assert!(is_varied || cfg!(miri), "{ends:?}");
}
