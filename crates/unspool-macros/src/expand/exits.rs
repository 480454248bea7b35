//! The ways out of a body and of its blocks, and what they pass: `try … finally`,
//! `return`, `?`, `break`, `continue`, and closing.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprReturn, Lifetime, parse_quote_spanned};

use super::{Body, hygienic};

/// Something that can be left.
pub(super) enum Block {
    Loop(Option<Lifetime>),
    Labelled(Lifetime),
    /// Left by a `break` to this label.
    Try(Lifetime, Vec<Jump>),
    Finally,
}

/// A `break` or `continue` that leaves a `try`: it is made behind the `finally`.
#[derive(Clone)]
pub(super) struct Jump {
    label: Option<Lifetime>,
    tokens: TokenStream,
}

impl Body {
    /// An expression that may leave a block.
    pub(super) fn visit_exit(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Return(inner) if self.returns_result() => {
                visit_mut::visit_expr_return_mut(self, inner);
                Self::expand_return(inner);
            }
            Expr::Break(inner) if self.leaves_try(inner.label.as_ref()) => {
                let span = inner.break_token.span;
                if inner.expr.is_some() {
                    let message = "a `break` with a value out of `try … finally`: assign the value to a variable first";
                    self.refuse(span, message.to_owned());
                }
                let (label, tokens) = (inner.label.clone(), inner.to_token_stream());
                let exit = self.exit_jumping(Jump { label, tokens }, hygienic(span));
                *expression = parse_quote_spanned!(span=> #exit);
            }
            Expr::Continue(inner) if self.leaves_try(inner.label.as_ref()) => {
                let span = inner.continue_token.span;
                let (label, tokens) = (inner.label.clone(), inner.to_token_stream());
                let exit = self.exit_jumping(Jump { label, tokens }, hygienic(span));
                *expression = parse_quote_spanned!(span=> #exit);
            }
            Expr::Return(inner) if self.is_in_try() => {
                let span = hygienic(inner.return_token.span);
                visit_mut::visit_expr_return_mut(self, inner);
                let value = match &inner.expr {
                    Some(value) => value.to_token_stream(),
                    None => quote_spanned!(span=> ()),
                };
                let exit = self.exit_returning(&value, span);
                *expression = parse_quote_spanned!(span=> #exit);
            }
            Expr::Try(inner) if self.is_in_try() => {
                let span = hygienic(inner.question_token.span);
                visit_mut::visit_expr_try_mut(self, inner);
                *expression = self.expand_ask(&inner.expr, span);
            }
            Expr::Await(inner) if self.is_closable() => {
                let span = hygienic(inner.await_token.span);
                visit_mut::visit_expr_await_mut(self, inner);
                let wait = self.expand_await(&inner.base.to_token_stream(), span);
                *expression = parse_quote_spanned!(span=> #wait);
            }
            _ => visit_mut::visit_expr_mut(self, expression),
        }
    }

    /// `try { … } finally { … }`: however the first block is left, the second one
    /// runs; then what left it goes on.
    pub(super) fn expand_try(&mut self, body: &mut Expr, last: &mut Expr, span: Span) -> Expr {
        let span = hygienic(span);
        self.tries += 1;
        let label = Lifetime::new(&format!("'__try_{}", self.tries), span);
        self.blocks.push(Block::Try(label.clone(), Vec::new()));
        self.visit_expr_mut(body);
        let jumps = match self.blocks.pop() {
            Some(Block::Try(_, jumps)) => jumps,
            _ => Vec::new(),
        };
        self.blocks.push(Block::Finally);
        self.visit_expr_mut(last);
        self.blocks.pop();
        let crate_path = self.crate_path.clone();
        let [enter_try, enter_finally, leave_finally] =
            ["enter_try", "enter_finally", "leave_finally"]
                .map(|name| self.operation(name, None, |call| call, span));
        let exit = quote_spanned!(span=> #crate_path::__private::Exit);
        let returned = quote_spanned!(span=> value);
        let exit_returning = self.exit_returning(&returned, span);
        let exit_closing = self.exit_closing(span);
        let jumps = (0u32..)
            .zip(jumps)
            .map(|(index, jump)| {
                let jump = self.exit_jumping(jump, span);
                quote_spanned!(span=> (false, #exit::Jump(#index)) => #jump,)
            })
            .collect::<TokenStream>();
        parse_quote_spanned!(span=> {
            #enter_try;
            #[allow(unreachable_code, clippy::diverging_sub_expression)]
            let exit = #label: {
                let value = #body;
                #exit::Value(value)
            };
            #enter_finally;
            #[allow(unreachable_code, clippy::diverging_sub_expression)]
            let () = #last;
            #[allow(unreachable_code)]
            match (#leave_finally, exit) {
                (false, #exit::Value(value)) => value,
                (false, #exit::Return(value)) => #exit_returning,
                #jumps
                _ => #exit_closing,
            }
        })
    }

    /// Leaves the body, or the innermost `try` in it, with what the body returns.
    fn exit_returning(&mut self, value: &TokenStream, span: Span) -> TokenStream {
        let crate_path = self.crate_path.clone();
        self.exit(
            &quote_spanned!(span=> #crate_path::__private::Exit::Return(#value)),
            |_| quote_spanned!(span=> return #value),
            span,
        )
    }

    /// Leaves the innermost `try`, or the body for good, in order to close.
    pub(super) fn exit_closing(&mut self, span: Span) -> TokenStream {
        let crate_path = self.crate_path.clone();
        self.exit(
            &quote_spanned!(span=> #crate_path::__private::Exit::Close),
            |this| {
                let done = this.operation(
                    "done",
                    None,
                    |call| quote_spanned!(span=> #call.await),
                    span,
                );
                quote_spanned!(span=> match #done {})
            },
            span,
        )
    }

    fn exit(
        &mut self,
        of_try: &TokenStream,
        of_body: impl FnOnce(&mut Self) -> TokenStream,
        span: Span,
    ) -> TokenStream {
        let is_finally = |block: &&Block| matches!(block, Block::Finally);
        let label = self.blocks.iter().rev().find_map(|block| match block {
            Block::Try(label, _) => Some(label.clone()),
            _ => None,
        });
        let is_inside = |block: &&Block| !matches!(block, Block::Try(..));
        let inside = self.blocks.iter().rev().take_while(is_inside);
        let count = inside.filter(is_finally).count();
        let left = self.leave(count, span);
        match label {
            Some(label) => quote_spanned!(span=> { #left break #label #of_try }),
            None => {
                let of_body = of_body(self);
                quote_spanned!(span=> { #left #of_body })
            }
        }
    }

    /// Leaves so many `finally` blocks.
    fn leave(&mut self, count: usize, span: Span) -> TokenStream {
        (0..count)
            .map(|_| {
                let leave = self.operation("leave_finally", None, |call| call, span);
                quote_spanned!(span=> #leave;)
            })
            .collect()
    }

    /// Whether what is visited stands in a `try` or `finally` of the body.
    pub(crate) fn is_in_try(&self) -> bool {
        !self.is_nested()
            && (self.blocks.iter()).any(|block| matches!(block, Block::Try(..) | Block::Finally))
    }

    /// Whether a wait here ends when the body is to close.
    pub(super) fn is_closable(&self) -> bool {
        let innermost = (self.blocks.iter().rev())
            .find(|block| matches!(block, Block::Try(..) | Block::Finally));
        !self.is_nested() && matches!(innermost, Some(Block::Try(..)))
    }

    /// `?` in a `try`.
    fn expand_ask(&mut self, result: &Expr, span: Span) -> Expr {
        let error =
            quote_spanned!(span=> ::core::result::Result::Err(::core::convert::From::from(error)));
        let exit = self.exit_returning(&error, span);
        parse_quote_spanned!(span=>
            match #result {
                ::core::result::Result::Ok(value) => value,
                ::core::result::Result::Err(error) => #exit,
            }
        )
    }

    /// Makes a jump, or leaves the innermost `try` that it leaves in order to make it
    /// behind the `finally`.
    fn exit_jumping(&mut self, jump: Jump, span: Span) -> TokenStream {
        let mut count = 0;
        let mut through = None;
        for block in self.blocks.iter_mut().rev() {
            match block {
                Block::Loop(_) if jump.label.is_none() => break,
                Block::Loop(Some(own)) | Block::Labelled(own)
                    if (jump.label.as_ref()).is_some_and(|label| label.ident == own.ident) =>
                {
                    break;
                }
                Block::Loop(_) | Block::Labelled(_) => {}
                Block::Finally => count += 1,
                Block::Try(label, jumps) => {
                    through = Some((label.clone(), jumps.len() as u32));
                    jumps.push(jump.clone());
                    break;
                }
            }
        }
        let left = self.leave(count, span);
        match through {
            Some((label, index)) => {
                let crate_path = &self.crate_path;
                quote_spanned!(span=> { #left break #label #crate_path::__private::Exit::Jump(#index) })
            }
            None if left.is_empty() => jump.tokens,
            None => {
                let tokens = jump.tokens;
                quote_spanned!(span=> { #left #tokens })
            }
        }
    }

    /// Whether a jump to `label`, or out of the innermost loop, leaves a `try` or
    /// `finally`.
    fn leaves_try(&self, label: Option<&Lifetime>) -> bool {
        let leaves = |block: &&Block| matches!(block, Block::Try(..) | Block::Finally);
        (self.blocks.iter().rev())
            .take_while(|block| match (block, label) {
                (Block::Loop(_), None) => false,
                (Block::Loop(Some(own)) | Block::Labelled(own), Some(label)) => {
                    own.ident != label.ident
                }
                _ => true,
            })
            .any(|block| leaves(&block))
    }

    /// An exit in a macro's argument cannot be made to pass the `finally`.
    pub(crate) fn refuse_exit_in_macro(&mut self, span: Span) {
        let message = "this may leave a `try … finally` from within a macro's argument, where it cannot be seen: do it outside of the macro";
        self.refuse(span, message.to_owned());
    }

    /// `return` where the async block returns a result.
    fn expand_return(expression: &mut ExprReturn) {
        let span = hygienic(expression.return_token.span);
        let value = match &expression.expr {
            Some(value) => value.to_token_stream(),
            None => quote_spanned!(span=> ()),
        };
        expression.expr = Some(parse_quote_spanned!(span=> ::core::result::Result::Ok(#value)));
    }
}
