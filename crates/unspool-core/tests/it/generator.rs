use std::pin::pin;

use futures_util::StreamExt;
use unspool_core::{AsyncGenerator, generator};

fn countdown(from: u32) -> impl AsyncGenerator<Yield = u32, Return = Result<&'static str, String>> {
    generator! {
        let mut left = from;
        while left > 0 {
            yield left;
            left = left.checked_sub(1).ok_or("below zero")?;
        }
        if from == 0 {
            Err("nothing to count")?;
        }
        Ok("lift-off")
    }
}

#[tokio::test]
async fn the_return_value_is_there_once_after_the_last_item() {
    let mut generator = pin!(countdown(2));
    assert_eq!(generator.as_mut().take_return(), None);
    assert_eq!(generator.try_anext().await, Ok(Some(2)));
    assert_eq!(generator.as_mut().take_return(), None);
    assert_eq!(generator.try_anext().await, Ok(Some(1)));
    assert_eq!(generator.try_anext().await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), Some(Ok("lift-off")));
    assert_eq!(generator.as_mut().take_return(), None);
    assert_eq!(generator.try_anext().await, Ok(None));
}

#[tokio::test]
async fn a_question_mark_returns() {
    let mut generator = pin!(countdown(0));
    let error = Err("nothing to count".to_owned());
    assert_eq!(generator.try_anext().await, error);
    assert_eq!(generator.try_anext().await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), None);
}

#[tokio::test]
async fn a_stream_of_a_generator_that_fails_ends_with_the_error() {
    let items: Vec<_> = countdown(0).try_into_stream().collect().await;
    assert_eq!(items, [Err("nothing to count".to_owned())]);
    let mut stream = pin!(countdown(2).try_into_stream());
    assert_eq!(stream.by_ref().collect::<Vec<_>>().await, [Ok(2), Ok(1)]);
    assert_eq!(stream.next().await, None);
    let returned = stream.as_mut().generator().take_return();
    assert_eq!(returned, Some(Ok("lift-off")));
}

#[tokio::test]
async fn an_error_that_ends_a_step_is_left_for_whoever_takes_it() {
    let mut generator = pin!(countdown(0));
    assert_eq!(generator.start().await, Ok(None));
    assert_eq!(generator.as_mut().take_return_if(Result::is_ok), None);
    // A loop that goes on after the step gets the error, too.
    let error = Err("nothing to count".to_owned());
    assert_eq!(generator.try_anext().await, error);
}

#[tokio::test]
async fn a_yield_can_stand_in_a_condition() {
    let mut generator = pin!(generator! {
        let (one, two) = (1, 2);
        let first = match yield one {
            Some(sent) if sent > 5 => yield two,
            other => other,
        };
        while let Some(sent) = yield two {
            if let None | Some(0) = yield sent {
                break;
            }
        }
        if (yield one) == Some(7) && first.is_some() {
            return first;
        }
        None
    });
    assert_eq!(generator.start().await, Ok(Some(1)));
    for (sent, item) in [(Some(6), 2), (Some(4), 2), (Some(9), 9), (None, 1)] {
        assert_eq!(generator.asend(sent).await, Ok(Some(item)));
    }
    assert_eq!(generator.asend(Some(7)).await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), Some(Some(4)));
}

#[tokio::test]
async fn a_generator_can_be_boxed() {
    let mut generator: std::pin::Pin<Box<dyn AsyncGenerator<Yield = u32, Return = _> + Send>> =
        Box::pin(countdown(1));
    assert_eq!(generator.try_anext().await, Ok(Some(1)));
    assert_eq!(generator.try_anext().await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), Some(Ok("lift-off")));
}

/// A generator into which nothing goes, and which returns nothing.
fn one_way<G: AsyncGenerator<Yield = u32, Return = ()>>(generator: G) -> (G, usize) {
    let size = size_of_val(&generator);
    (generator, size)
}

#[tokio::test]
async fn a_yield_at_the_end_is_a_statement_with_or_without_its_semicolon() {
    let (with, size) = one_way(generator! { yield 1; yield 2; });
    let (without, same_size) = one_way(generator! { yield 1; yield 2 });
    assert_eq!(size, same_size);
    let (mut with, mut without) = (pin!(with), pin!(without));
    for item in [Some(1), Some(2), None] {
        assert_eq!(with.anext().await, item);
        assert_eq!(without.anext().await, item);
    }
    assert_eq!(without.take_return(), Some(()));
}

#[tokio::test]
async fn a_yield_at_the_end_of_a_loop_or_branch_is_a_statement() {
    let (generator, _) = one_way(generator! {
        for number in 0..2 {
            yield number
        }
        let mut number = 2;
        while number < 4 {
            number += 1;
            if number == 3 { yield 2 } else { yield 3 }
        }
        match number {
            4 => yield 4,
            other => { yield other }
        }
        loop {
            if number == 5 { break }
            number = 5;
            yield number
        }
        if number == 5 { yield 6 }
    });
    let mut generator = pin!(generator);
    for item in 0..7 {
        assert_eq!(generator.anext().await, Some(item));
    }
    assert_eq!(generator.anext().await, None);
}

#[tokio::test]
async fn a_yield_whose_value_is_returned_says_so() {
    let mut explicit = pin!(generator! { return yield 1; });
    let mut parenthesized = pin!(generator! { (yield 1) });
    assert_eq!(explicit.start().await, Ok(Some(1)));
    assert_eq!(parenthesized.start().await, Ok(Some(1)));
    assert_eq!(explicit.asend("sent").await, Ok(None));
    assert_eq!(parenthesized.asend("sent").await, Ok(None));
    assert_eq!(explicit.as_mut().take_return(), Some("sent"));
    assert_eq!(parenthesized.as_mut().take_return(), Some("sent"));
}
