use std::pin::pin;

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
async fn the_return_value_is_there_once_behind_the_last_item() {
    let mut generator = pin!(countdown(2));
    assert_eq!(generator.as_mut().take_return(), None);
    assert_eq!(generator.anext().await, Some(2));
    assert_eq!(generator.as_mut().take_return(), None);
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.anext().await, None);
    assert_eq!(generator.as_mut().take_return(), Some(Ok("lift-off")));
    assert_eq!(generator.as_mut().take_return(), None);
    assert_eq!(generator.anext().await, None);
}

#[tokio::test]
async fn a_question_mark_returns() {
    let mut generator = pin!(countdown(0));
    assert_eq!(generator.anext().await, None);
    assert_eq!(
        generator.take_return(),
        Some(Err("nothing to count".to_owned()))
    );
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
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.anext().await, None);
    assert_eq!(generator.as_mut().take_return(), Some(Ok("lift-off")));
}
