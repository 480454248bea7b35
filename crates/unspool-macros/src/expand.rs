//! Turns a body into the async block that a generator runs.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Expr, ExprForLoop, ExprReturn, ExprYield, Item, Lifetime, Macro, Stmt, parse_quote_spanned,
};

use crate::parse::{self, Input};
use crate::tokens;

/// Which macro was called.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Form {
    Stream,
    TryStream,
    Generator,
}

/// The whole expansion: an expression that makes the generator.
pub(crate) fn body(input: TokenStream, form: Form) -> TokenStream {
    match parse::input(input) {
        Ok(input) => wrap(input, form),
        Err(error) => error.to_compile_error(),
    }
}

fn wrap(input: Input, form: Form) -> TokenStream {
    let Input {
        crate_path,
        throws,
        mut statements,
    } = input;
    let may_fail = form == Form::TryStream || form == Form::Stream && asks(&mut statements);
    let needs = Needs::of(&mut statements);
    let has_port = form == Form::Generator
        && (throws.is_some() || needs.value || needs.finally || needs.delegates);
    let mut body = Body {
        crate_path,
        form,
        may_fail,
        has_port,
        has_guard: has_port && (needs.finally || needs.delegates),
        yields: false,
        tries: 0,
        blocks: Vec::new(),
        is_in_macro: false,
        definitions: Vec::new(),
        nested_in: None,
        errors: Vec::new(),
    };
    if let (Some(throws), true) = (&throws, form != Form::Generator) {
        body.refuse(throws.span(), "`throws` belongs to `generator!`".to_owned());
    }
    for statement in &mut statements {
        body.visit_stmt_mut(statement);
    }
    if let Some(error) = body.errors.into_iter().reduce(|mut all, error| {
        all.combine(error);
        all
    }) {
        let errors = error.to_compile_error();
        return quote_spanned!(Span::mixed_site()=> { #errors });
    }

    let (crate_path, definitions) = (body.crate_path, body.definitions);
    let span = Span::mixed_site();
    let yielder = yielder(span);
    let label = label(span);
    let make = match form {
        Form::Generator if throws.is_some() => format_ident!("duplex_throws", span = span),
        Form::Generator if body.has_port => format_ident!("duplex", span = span),
        Form::Generator => format_ident!("generator", span = span),
        _ if may_fail => format_ident!("try_stream", span = span),
        _ => format_ident!("stream", span = span),
    };
    let port = body.has_port.then(|| {
        let mode = match (&throws, needs.value) {
            (Some(throws), _) => quote_spanned!(span=> #crate_path::__private::Throws<_, #throws>),
            (None, false) => quote_spanned!(span=> #crate_path::__private::Sends<()>),
            (None, true) => quote_spanned!(span=> #crate_path::__private::Sends<_>),
        };
        let extra = match () {
            () if needs.delegates => quote_spanned!(span=> #crate_path::__private::Links<_, _, _>),
            () if needs.finally => quote_spanned!(span=> #crate_path::__private::Guarded),
            () => quote_spanned!(span=> ()),
        };
        quote_spanned!(span=>
            let _: &#crate_path::__private::Yielder<_, #crate_path::__private::Port<#mode, #extra>> = &#yielder;
        )
    });
    let item_is_unit = (!body.yields).then(|| match form {
        Form::TryStream => {
            quote_spanned!(span=> let _: &#crate_path::__private::Yielder<::core::result::Result<(), _>> = &#yielder;)
        }
        _ => quote_spanned!(span=> let _: &#crate_path::__private::Yielder<(), _> = &#yielder;),
    });
    let block = quote_spanned!(span=> #label: { #(#definitions)* #(#statements)* });
    let output = if may_fail {
        quote_spanned!(span=>
            let () = #block;
            #[allow(unreachable_code)]
            ::core::result::Result::Ok(())
        )
    } else {
        block
    };
    // The `unsafe` block is beside the body and not around it, where it would extend
    // to the user's code.
    quote_spanned!(span=>
        #crate_path::__private::#make(
            move |#yielder| async move {
                #port
                #item_is_unit
                #output
            },
            // SAFETY: the yielder's name and the label are hygienic; each use of the
            // yielder is guarded by a `break` to the label, and is whole.
            unsafe { #crate_path::__private::Promise::new() },
        )
    )
}

/// The name that the body's yielder is bound to. No user can write it: a
/// mixed-site identifier is resolved where the macro is defined.
fn yielder(span: Span) -> Ident {
    Ident::new("__yielder", hygienic(span))
}

/// The label of the body. Its name is the message that rustc prints where a macro
/// has put a `yield` into a closure or an async block.
fn label(span: Span) -> Lifetime {
    Lifetime::new("'yield_must_stand_directly_in_the_body", hygienic(span))
}

/// The user's line, the macro's names.
fn hygienic(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// Rewrites the constructs that are not Rust, directly in the body; in what is
/// nested in it, only `for await`.
pub(crate) struct Body {
    crate_path: TokenStream,
    form: Form,
    may_fail: bool,
    /// Whether values go into the body, or it has something to do when closed.
    has_port: bool,
    /// Whether it has something to do when closed.
    has_guard: bool,
    yields: bool,
    /// How many `try` blocks there are so far.
    tries: usize,
    /// The loops, labelled blocks, `try` and `finally` around what is visited.
    blocks: Vec<Block>,
    /// Whether what is visited is an argument of another macro.
    is_in_macro: bool,
    /// The macros that stand for uses of the yielder there.
    definitions: Vec<TokenStream>,
    nested_in: Option<&'static str>,
    errors: Vec<syn::Error>,
}

/// Something that can be left.
enum Block {
    Loop(Option<Lifetime>),
    Labelled(Lifetime),
    /// Left by a `break` to this label.
    Try(Lifetime, Vec<Jump>),
    Finally,
}

/// A `break` or `continue` that leaves a `try`: it is made behind the `finally`.
#[derive(Clone)]
struct Jump {
    label: Option<Lifetime>,
    tokens: TokenStream,
}

impl Body {
    pub(crate) fn is_nested(&self) -> bool {
        self.nested_in.is_some()
    }

    /// Whether a plain `return` has to become `return Ok(())`.
    pub(crate) fn returns_result(&self) -> bool {
        self.may_fail && !self.is_nested()
    }

    /// `yield in inner`: hand on what comes in either direction, and the closing.
    fn expand_delegation(&mut self, inner: &mut Expr, span: Span) -> Expr {
        let span = hygienic(span);
        self.yields = true;
        self.visit_expr_mut(inner);
        let wait = self.operation(
            "yield_in",
            Some(&quote_spanned!(span=> ::core::pin::Pin::as_mut(&mut inner))),
            |call| quote_spanned!(span=> #call.await),
            span,
        );
        let exit_closing = self.exit_closing(span);
        parse_quote_spanned!(span=> {
            let mut inner = ::core::pin::pin!(#inner);
            match #wait {
                ::core::option::Option::Some(value) => value,
                ::core::option::Option::None => #exit_closing,
            }
        })
    }

    /// `yield item`: check the place, hand the item over, suspend.
    fn expand_yield(&mut self, expression: &mut ExprYield) -> Expr {
        let span = hygienic(expression.yield_token.span);
        self.yields = true;
        visit_mut::visit_expr_yield_mut(self, expression);
        let attributes = &expression.attrs;
        let item = match &expression.expr {
            Some(item) => item.to_token_stream(),
            None => quote_spanned!(span=> ()),
        };
        let item_span = hygienic(expression.expr.as_ref().map_or(span, |item| item.span()));
        let bound = Ident::new("__item", item_span);
        let wrapped = match self.form {
            Form::TryStream => quote_spanned!(item_span=> ::core::result::Result::Ok(#bound)),
            Form::Stream | Form::Generator => bound.to_token_stream(),
        };
        let received = self.has_port.then(|| {
            let name = match self.has_guard {
                false => "received",
                true => "received_or_close",
            };
            let received = self.call(name, None, span);
            quote_spanned!(span=> ; #received)
        });
        let handed_over = self.operation(
            "put",
            Some(&wrapped),
            |put| quote_spanned!(span=> #put.await #received),
            span,
        );
        let value = match self.has_guard {
            false => handed_over,
            true => {
                let close = self.exit_closing(span);
                quote_spanned!(span=>
                    match #handed_over {
                        ::core::option::Option::Some(value) => value,
                        ::core::option::Option::None => #close,
                    }
                )
            }
        };
        // The temporaries of the item are gone before the body is suspended, so that
        // they need not be `Send`.
        parse_quote_spanned!(span=> #(#attributes)* {
            let #bound = #item;
            #value
        })
    }

    /// `try { … } finally { … }`: however the first block is left, the second one
    /// runs; then what left it goes on.
    fn expand_try(&mut self, body: &mut Expr, last: &mut Expr, span: Span) -> Expr {
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
    fn exit_closing(&mut self, span: Span) -> TokenStream {
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
    fn is_closable(&self) -> bool {
        let innermost = (self.blocks.iter().rev())
            .find(|block| matches!(block, Block::Try(..) | Block::Finally));
        !self.is_nested() && matches!(innermost, Some(Block::Try(..)))
    }

    /// A future that is awaited in a `try`.
    fn expand_await(&mut self, future: &TokenStream, span: Span) -> TokenStream {
        let wait = self.operation(
            "until_closed",
            Some(&quote_spanned!(span=> future)),
            |call| quote_spanned!(span=> #call.await),
            span,
        );
        let close = self.exit_closing(span);
        quote_spanned!(span=>
            match ::core::pin::pin!(::core::future::IntoFuture::into_future(#future)) {
                future => match #wait {
                    ::core::option::Option::Some(value) => value,
                    ::core::option::Option::None => #close,
                },
            }
        )
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

    /// What the body does with its yielder: all that is done with it is made here. It
    /// compiles only directly in the body, because of the `break`.
    ///
    /// In an argument of another macro a macro of the body's own stands for it, since
    /// that one sees the tokens, and could put them together otherwise.
    fn operation(
        &mut self,
        name: &str,
        argument: Option<&TokenStream>,
        whole: impl FnOnce(TokenStream) -> TokenStream,
        span: Span,
    ) -> TokenStream {
        let label = label(span);
        let parameter = argument.map(|argument| match self.is_in_macro {
            true => quote_spanned!(span=> $argument),
            false => argument.clone(),
        });
        let whole = whole(self.call(name, parameter.as_ref(), span));
        let whole = quote_spanned!(span=> {
            #[allow(unreachable_code)]
            if false {
                break #label (loop {});
            }
            #whole
        });
        if !self.is_in_macro {
            return whole;
        }
        let number = self.definitions.len();
        let name = format_ident!("__{name}_{number}", span = span);
        let pattern = parameter.map(|parameter| quote_spanned!(span=> #parameter:expr));
        self.definitions.push(quote_spanned!(span=>
            #[allow(unused_macros)]
            macro_rules! #name {
                (#pattern) => { #whole };
            }
        ));
        quote_spanned!(span=> #name!(#argument))
    }

    /// A call of a method of the yielder, by its path: a trait of the user's may have
    /// one of the same name.
    fn call(&self, name: &str, argument: Option<&TokenStream>, span: Span) -> TokenStream {
        // Without the place of the whole macro, which errors would point to.
        let crate_path = self.crate_path.clone().into_iter().map(|mut token| {
            token.set_span(token.span().located_at(span));
            token
        });
        let crate_path: TokenStream = crate_path.collect();
        let yielder = yielder(span);
        let name = Ident::new(name, span);
        quote_spanned!(span=> #crate_path::__private::Yielder::#name(&#yielder, #argument))
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

    /// An expression with a block that can be left, or in which nothing belongs to
    /// the body.
    fn visit_scope(&mut self, expression: &mut Expr) {
        match expression {
            Expr::ForLoop(inner) => {
                let label = inner.label.as_ref().map(|label| label.name.clone());
                self.blocks.push(Block::Loop(label));
                *expression = self.expand_for_await(inner);
                self.blocks.pop();
            }
            Expr::While(inner) => {
                let label = inner.label.as_ref().map(|label| label.name.clone());
                self.within(Block::Loop(label), |this| {
                    visit_mut::visit_expr_while_mut(this, inner)
                });
            }
            Expr::Loop(inner) => {
                let label = inner.label.as_ref().map(|label| label.name.clone());
                self.within(Block::Loop(label), |this| {
                    visit_mut::visit_expr_loop_mut(this, inner)
                });
            }
            Expr::Block(inner) if inner.label.is_some() => {
                if let Some(label) = inner.label.as_ref().map(|label| label.name.clone()) {
                    self.within(Block::Labelled(label), |this| {
                        visit_mut::visit_expr_block_mut(this, inner)
                    });
                }
            }
            Expr::Closure(inner) => {
                self.nested("a closure", |this| {
                    visit_mut::visit_expr_closure_mut(this, inner);
                });
            }
            Expr::Async(inner) => {
                self.nested("an async block", |this| {
                    visit_mut::visit_expr_async_mut(this, inner);
                });
            }
            _ => visit_mut::visit_expr_mut(self, expression),
        }
    }

    /// An expression that may leave a block.
    fn visit_exit(&mut self, expression: &mut Expr) {
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

    fn refuse(&mut self, span: Span, message: String) {
        self.errors.push(syn::Error::new(span, message));
    }

    fn within(&mut self, block: Block, walk: impl FnOnce(&mut Self)) {
        self.blocks.push(block);
        walk(self);
        self.blocks.pop();
    }

    /// `for await pattern in stream`: pin the stream, then loop over its items.
    fn expand_for_await(&mut self, expression: &mut ExprForLoop) -> Expr {
        let span = hygienic(expression.for_token.span);
        visit_mut::visit_expr_for_loop_mut(self, expression);
        let pattern = match parse::awaited_pattern(&expression.pat) {
            Some(Ok(pattern)) => pattern,
            Some(Err(error)) => {
                self.errors.push(error);
                return parse_quote_spanned!(span=> ());
            }
            None => return Expr::ForLoop(expression.clone()),
        };
        let ExprForLoop {
            attrs,
            label,
            expr,
            body,
            ..
        } = expression;
        let crate_path = &self.crate_path;
        let next = quote_spanned!(span=> #crate_path::__private::next(::core::pin::Pin::as_mut(&mut stream)));
        let next = match self.is_closable() {
            true => self.expand_await(&next, span),
            false => quote_spanned!(span=> #next.await),
        };
        // A `match` keeps the temporaries of the head alive for the whole loop,
        // as `for` does.
        parse_quote_spanned!(span=> #(#attrs)* {
            match #expr {
                stream => {
                    let mut stream = ::core::pin::pin!(stream);
                    #label loop {
                        let #pattern = match #next {
                            ::core::option::Option::Some(item) => item,
                            ::core::option::Option::None => break,
                        };
                        #body
                    }
                }
            }
        })
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

    fn refuse_yield(&mut self, expression: &ExprYield, place: &str) {
        self.errors.push(syn::Error::new(
            expression.yield_token.span,
            format!(
                "`yield` inside {place}: it must stand directly in the body of `{}`",
                match self.form {
                    Form::Stream => "stream!",
                    Form::TryStream => "try_stream!",
                    Form::Generator => "generator!",
                }
            ),
        ));
    }

    /// Walks what is nested in the body, where nothing belongs to it.
    pub(crate) fn nested(&mut self, place: &'static str, walk: impl FnOnce(&mut Self)) {
        let outer = self.nested_in.replace(place);
        let blocks = std::mem::take(&mut self.blocks);
        walk(self);
        self.blocks = blocks;
        self.nested_in = outer;
    }
}

impl VisitMut for Body {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        // Around a `yield` they are needed, around its expansion they are not, and
        // the compiler would say so.
        while let Expr::Paren(outer) = expression
            && matches!(*outer.expr, Expr::Yield(_) | Expr::Paren(_))
        {
            *expression = std::mem::replace(&mut *outer.expr, Expr::PLACEHOLDER);
        }
        match expression {
            Expr::Yield(inner) => match self.nested_in {
                None => {
                    let span = inner.yield_token.span;
                    match parse::delegated(inner) {
                        None => *expression = self.expand_yield(inner),
                        Some(_) if self.form != Form::Generator => self.refuse(
                            span,
                            "`yield in` belongs to `generator!`: here `for await` does it"
                                .to_owned(),
                        ),
                        Some(delegate) => *expression = self.expand_delegation(delegate, span),
                    }
                }
                Some(place) => self.refuse_yield(inner, place),
            },
            Expr::Match(inner) => {
                let span = inner.match_token.span;
                match parse::try_finally(inner) {
                    None => visit_mut::visit_expr_match_mut(self, inner),
                    Some(_) if self.is_nested() || self.form != Form::Generator => {
                        let message =
                            "`try … finally` must stand directly in the body of `generator!`";
                        self.refuse(span, message.to_owned());
                    }
                    Some((body, last)) => *expression = self.expand_try(body, last, span),
                }
            }
            Expr::ForLoop(_)
            | Expr::While(_)
            | Expr::Loop(_)
            | Expr::Block(_)
            | Expr::Closure(_)
            | Expr::Async(_) => self.visit_scope(expression),
            Expr::Return(_)
            | Expr::Break(_)
            | Expr::Continue(_)
            | Expr::Try(_)
            | Expr::Await(_) => self.visit_exit(expression),
            _ => visit_mut::visit_expr_mut(self, expression),
        }
    }

    fn visit_item_mut(&mut self, item: &mut Item) {
        self.nested("an item nested in the body", |this| {
            visit_mut::visit_item_mut(this, item);
        });
    }

    fn visit_macro_mut(&mut self, invocation: &mut Macro) {
        if !passes_by(invocation) {
            let arguments = std::mem::take(&mut invocation.tokens);
            let was_in_macro = std::mem::replace(&mut self.is_in_macro, true);
            invocation.tokens = tokens::rewrite(self, parse::mark(arguments));
            self.is_in_macro = was_in_macro;
        }
    }
}

/// Whether what is in the arguments of this macro does not belong to the body.
fn passes_by(invocation: &Macro) -> bool {
    let name = invocation.path.segments.last();
    name.is_some_and(|name| tokens::is_own_macro(&name.ident))
        || invocation.path.is_ident("macro_rules")
}

/// What a body needs beyond a way out for its items.
#[derive(Default)]
struct Needs {
    /// It uses what a `yield` gives.
    value: bool,
    /// It has a `try … finally`.
    finally: bool,
    /// It has a `yield in`.
    delegates: bool,
}

impl Needs {
    fn of(statements: &mut [Stmt]) -> Self {
        let mut needs = Needs::default();
        for statement in statements {
            needs.visit_stmt_mut(statement);
        }
        needs
    }

    /// What is in the arguments of a macro, which is nothing but tokens.
    fn visit_arguments(&mut self, invocation: &Macro, is_statement: bool) {
        if passes_by(invocation) {
            return;
        }
        let arguments = || invocation.tokens.clone();
        let delegates = tokens::has_words(arguments(), "yield", "in");
        self.delegates |= delegates;
        self.finally |= tokens::has_words(arguments(), "try", "finally");
        self.value |= delegates || tokens::uses_value(arguments(), is_statement);
    }

    fn visit_yield(&mut self, expression: &mut ExprYield, is_used: bool) {
        let delegates = parse::delegated(expression).is_some();
        self.delegates |= delegates;
        // What is sent goes on to the other generator.
        self.value |= is_used || delegates;
        visit_mut::visit_expr_yield_mut(self, expression);
    }
}

impl VisitMut for Needs {
    fn visit_stmt_mut(&mut self, statement: &mut Stmt) {
        match statement {
            Stmt::Expr(Expr::Yield(inner), Some(_)) => {
                self.visit_yield(inner, false);
            }
            Stmt::Macro(inner) => self.visit_arguments(&inner.mac, true),
            _ => visit_mut::visit_stmt_mut(self, statement),
        }
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Yield(inner) => return self.visit_yield(inner, true),
            Expr::Match(inner) => self.finally |= parse::try_finally(inner).is_some(),
            Expr::Closure(_) | Expr::Async(_) => return,
            _ => {}
        }
        visit_mut::visit_expr_mut(self, expression);
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}

    fn visit_macro_mut(&mut self, invocation: &mut Macro) {
        self.visit_arguments(invocation, false);
    }
}

/// Whether the body itself uses `?`.
fn asks(statements: &mut [syn::Stmt]) -> bool {
    struct Asks(bool);

    impl VisitMut for Asks {
        fn visit_expr_mut(&mut self, expression: &mut Expr) {
            match expression {
                Expr::Try(_) => self.0 = true,
                Expr::Closure(_) | Expr::Async(_) => {}
                _ => visit_mut::visit_expr_mut(self, expression),
            }
        }

        fn visit_item_mut(&mut self, _: &mut Item) {}
    }

    let mut asks = Asks(false);
    for statement in statements {
        asks.visit_stmt_mut(statement);
    }
    asks.0
}
