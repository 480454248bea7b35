//! The ways out of a body and of its blocks, and what they pass: `try … finally`,
//! `return`, `?`, `break`, `continue`, and closing.
//!
//! Each block of a `try … finally` becomes an async block of its own, awaited where it
//! stands. Its output is an [`Exit`](../../unspool_core/__private), a type that only this
//! module makes: the exits that are seen here become a `break` with one. An exit that is
//! not seen, because a macro expands to it, does not compile: a `return` or `?` has
//! another type, and there is no `break` out of an async block.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprReturn, Lifetime, parse_quote_spanned};

use super::{Body, Definition, hygienic, label};

/// Something that can be left.
pub(super) enum Block {
    Loop(Option<Lifetime>),
    Labelled(Lifetime),
    /// A block of a `try … finally`.
    Region(Region),
    /// The arguments of a macro: loops in them are not seen.
    Arguments,
}

/// A block of a `try … finally`: left by a `break` to this label.
pub(super) struct Region {
    label: Lifetime,
    jumps: Vec<Jump>,
}

/// A `break` or `continue` that leaves a region: it is made after the `finally`.
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
            Expr::Break(inner) if self.leaves_region(inner.label.as_ref()) => {
                let span = inner.break_token.span;
                if inner.expr.is_some() {
                    let message = "a `break` with a value out of `try … finally`: assign the value to a variable first";
                    self.refuse(span, message.to_owned());
                }
                let (label, tokens) = (inner.label.clone(), inner.to_token_stream());
                *expression = self.expand_jump(Jump { label, tokens }, span);
            }
            Expr::Continue(inner) if self.leaves_region(inner.label.as_ref()) => {
                let span = inner.continue_token.span;
                let (label, tokens) = (inner.label.clone(), inner.to_token_stream());
                *expression = self.expand_jump(Jump { label, tokens }, span);
            }
            Expr::Return(inner) if self.is_in_region() => {
                let span = hygienic(inner.return_token.span);
                visit_mut::visit_expr_return_mut(self, inner);
                let value = match &inner.expr {
                    Some(value) => value.to_token_stream(),
                    None => quote_spanned!(span=> ()),
                };
                let exit = self.exit_returning(&value, span);
                *expression = parse_quote_spanned!(span=> #exit);
            }
            Expr::Try(inner) if self.is_in_region() => {
                let span = hygienic(inner.question_token.span);
                visit_mut::visit_expr_try_mut(self, inner);
                *expression = self.expand_ask(&inner.expr, span);
            }
            _ => visit_mut::visit_expr_mut(self, expression),
        }
    }

    fn expand_jump(&mut self, jump: Jump, span: Span) -> Expr {
        let span = hygienic(span);
        let exit = self.exit_jumping(jump, span);
        parse_quote_spanned!(span=> #exit)
    }

    /// `try { … } finally { … }`: however the first block is left, the second one
    /// runs; then what left it goes on, unless the second one was left in another way.
    pub(super) fn expand_try(&mut self, body: &mut Expr, last: &mut Expr, span: Span) -> Expr {
        let span = hygienic(span);
        let value = quote_spanned!(span=> __unspool_value);
        let (tried, jumps) = self.region("run_try", body, &value, span);
        let unit = quote_spanned!(span=> ());
        let (finished, last_jumps) = self.region("run_finally", last, &unit, span);

        let crate_path = self.crate_path.clone();
        let exit = quote_spanned!(span=> #crate_path::__private::Exit);
        let returning = self.exit_returning(&value, span);
        let closing = self.exit_closing(span);
        let went_well = quote_spanned!(span=> #exit::Value(()));
        let mut jump_arms = TokenStream::new();
        for (index, jump) in (0u32..).zip(jumps) {
            let jump = self.exit_jumping(jump, span);
            jump_arms.extend(quote_spanned!(span=> (#went_well, #exit::Jump(#index)) => #jump,));
        }
        for (index, jump) in (0u32..).zip(last_jumps) {
            let jump = self.exit_jumping(jump, span);
            jump_arms.extend(quote_spanned!(span=> (#exit::Jump(#index), _) => #jump,));
        }
        parse_quote_spanned!(span=> {
            let __unspool_tried = #tried;
            let __unspool_finished = #finished;
            #[allow(unreachable_code, clippy::diverging_sub_expression)]
            match (__unspool_finished, __unspool_tried) {
                (#went_well, #exit::Value(#value)) => #value,
                (#went_well, #exit::Return(#value)) | (#exit::Return(#value), _) => #returning,
                #jump_arms
                _ => #closing,
            }
        })
    }

    /// Runs a block as an async block of its own, through the method `run` of the
    /// yielder. Gives the expression, and the jumps that leave the block.
    fn region(
        &mut self,
        run: &str,
        block: &mut Expr,
        value: &TokenStream,
        span: Span,
    ) -> (TokenStream, Vec<Jump>) {
        let number = self.number();
        let exit_label = Lifetime::new(&format!("'__region_{number}"), span);
        let outer_definitions = std::mem::take(&mut self.definitions);
        self.blocks.push(Block::Region(Region {
            label: exit_label.clone(),
            jumps: Vec::new(),
        }));
        self.visit_expr_mut(block);
        let jumps = match self.blocks.pop() {
            Some(Block::Region(region)) => region.jumps,
            _ => Vec::new(),
        };
        let definitions = std::mem::replace(&mut self.definitions, outer_definitions);

        let crate_path = &self.crate_path;
        let block = quote_spanned!(span=> #exit_label: {
            #[allow(unreachable_code, clippy::diverging_sub_expression)]
            let #value = #block;
            #[allow(unreachable_code)]
            #crate_path::__private::Exit::Value(#value)
        });
        if self.is_in_macro {
            return (
                self.region_in_macro(run, number, &block, &definitions, span),
                jumps,
            );
        }
        let definitions = definitions.iter().map(|definition| definition.named(None));
        let definitions: Vec<_> = definitions.collect();
        (
            self.run(run, &quote_spanned!(span=> #(#definitions)* #block), span),
            jumps,
        )
    }

    /// The same among the arguments of another macro, which sees the block, the name of
    /// the macro that runs it, and the names of the macros that are defined for it.
    fn region_in_macro(
        &mut self,
        run: &str,
        number: usize,
        block: &TokenStream,
        definitions: &[Definition],
        span: Span,
    ) -> TokenStream {
        let name = format_ident!("__{run}_{number}", span = span);
        let body = format_ident!("__body_{number}", span = span);
        let names: Vec<&Ident> = definitions
            .iter()
            .map(|definition| &definition.name)
            .collect();
        let given = definitions.iter().map(|definition| {
            let name = &definition.name;
            definition.named(Some(quote_spanned!(span=> $#name)))
        });
        let statements = quote_spanned!(span=> #(#given)* $#body);
        self.definitions.push(Definition {
            pattern: quote_spanned!(span=> #($#names:ident)* $#body:block),
            expansion: self.run(run, &statements, span),
            name: name.clone(),
        });
        quote_spanned!(span=> #name!(#(#names)* { #block }))
    }

    /// An async block of these statements, run where it stands.
    fn run(&self, method: &str, statements: &TokenStream, span: Span) -> TokenStream {
        let label = label(span);
        let block = quote_spanned!(span=> async {
            #[allow(unused_labels)]
            #label: { #statements }
        });
        let call = self.call(method, Some(&block), span);
        Self::guarded(&quote_spanned!(span=> #call.await), span)
    }

    /// Leaves the body, or the innermost region in it, with what the body returns.
    fn exit_returning(&mut self, value: &TokenStream, span: Span) -> TokenStream {
        let crate_path = &self.crate_path;
        match self.innermost_region() {
            Some(label) => {
                quote_spanned!(span=> break #label #crate_path::__private::Exit::Return(#value))
            }
            None => quote_spanned!(span=> return #value),
        }
    }

    /// Leaves the innermost region, or the body for good, in order to close.
    pub(super) fn exit_closing(&mut self, span: Span) -> TokenStream {
        if let Some(label) = self.innermost_region() {
            let crate_path = &self.crate_path;
            return quote_spanned!(span=> break #label #crate_path::__private::Exit::Close);
        }
        let done = self.operation(
            "done",
            None,
            |call| quote_spanned!(span=> #call.await),
            span,
        );
        quote_spanned!(span=> match #done {})
    }

    fn innermost_region(&self) -> Option<Lifetime> {
        self.blocks.iter().rev().find_map(|block| match block {
            Block::Region(region) => Some(region.label.clone()),
            _ => None,
        })
    }

    /// Whether what is visited stands in a `try` or `finally` of the body.
    pub(crate) fn is_in_region(&self) -> bool {
        !self.is_nested() && self.innermost_region().is_some()
    }

    /// `?` in a region.
    fn expand_ask(&mut self, result: &Expr, span: Span) -> Expr {
        let error = quote_spanned!(span=> ::core::result::Result::Err(::core::convert::From::from(__unspool_error)));
        let exit = self.exit_returning(&error, span);
        parse_quote_spanned!(span=>
            match #result {
                ::core::result::Result::Ok(__unspool_value) => __unspool_value,
                ::core::result::Result::Err(__unspool_error) => #exit,
            }
        )
    }

    /// Makes a jump, or leaves the innermost region that it leaves in order to make it
    /// after the `finally`.
    fn exit_jumping(&mut self, jump: Jump, span: Span) -> TokenStream {
        let crate_path = &self.crate_path;
        match region_left(&mut self.blocks, jump.label.as_ref()) {
            None => jump.tokens,
            Some(region) => {
                let (label, index) = (&region.label, region.jumps.len() as u32);
                region.jumps.push(jump);
                quote_spanned!(span=> break #label #crate_path::__private::Exit::Jump(#index))
            }
        }
    }

    fn leaves_region(&mut self, label: Option<&Lifetime>) -> bool {
        region_left(&mut self.blocks, label).is_some()
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

/// The innermost region that a jump to `label`, or out of the innermost loop, leaves.
///
/// Beyond the arguments of a macro nothing is looked for: the loop may be in them. If it
/// is not, and the jump leaves a region, it does not compile.
fn region_left<'b>(blocks: &'b mut [Block], label: Option<&Lifetime>) -> Option<&'b mut Region> {
    for block in blocks.iter_mut().rev() {
        match (block, label) {
            (Block::Region(region), _) => return Some(region),
            (Block::Arguments, _) | (Block::Loop(_), None) => return None,
            (Block::Loop(Some(own)) | Block::Labelled(own), Some(label))
                if own.ident == label.ident =>
            {
                return None;
            }
            (Block::Loop(_) | Block::Labelled(_), _) => {}
        }
    }
    None
}
