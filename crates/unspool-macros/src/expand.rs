//! Turns a body into the async block that a generator runs.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprForLoop, ExprReturn, ExprYield, Item, Lifetime, Macro, parse_quote_spanned};

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
        mut statements,
    } = input;
    let may_fail = form == Form::TryStream || form == Form::Stream && asks(&mut statements);
    let mut body = Body {
        crate_path,
        form,
        may_fail,
        yields: false,
        nested_in: None,
        errors: Vec::new(),
    };
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

    let crate_path = body.crate_path;
    let span = Span::mixed_site();
    let yielder = yielder(span);
    let label = label(span);
    let make = match form {
        Form::Generator => format_ident!("generator", span = span),
        _ if may_fail => format_ident!("try_stream", span = span),
        _ => format_ident!("stream", span = span),
    };
    let item_is_unit = (!body.yields).then(|| match form {
        Form::TryStream => {
            quote_spanned!(span=> let _: &#crate_path::__private::Yielder<::core::result::Result<(), _>> = &#yielder;)
        }
        _ => quote_spanned!(span=> let _: &#crate_path::__private::Yielder<()> = &#yielder;),
    });
    let block = quote_spanned!(span=> #label: { #(#statements)* });
    let output = if may_fail {
        quote_spanned!(span=>
            let () = #block;
            #[allow(unreachable_code)]
            ::core::result::Result::Ok(())
        )
    } else {
        block
    };
    quote_spanned!(span=>
        // SAFETY: the yielder's name and the label are hygienic, and each use of
        // the yielder that this macro writes is guarded by a `break` to the label.
        unsafe {
            #crate_path::__private::#make(move |#yielder| async move {
                #item_is_unit
                #output
            })
        }
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
    yields: bool,
    nested_in: Option<&'static str>,
    errors: Vec<syn::Error>,
}

impl Body {
    pub(crate) fn is_nested(&self) -> bool {
        self.nested_in.is_some()
    }

    /// Whether a plain `return` has to become `return Ok(())`.
    pub(crate) fn returns_result(&self) -> bool {
        self.may_fail && !self.is_nested()
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
        let yielder = yielder(span);
        let label = label(span);
        // The item is bound outside of the `unsafe` block, which must not
        // extend to the user's expression; and its temporaries are gone before
        // the body is suspended, so that they need not be `Send`.
        parse_quote_spanned!(span=> #(#attributes)* {
            let #bound = #item;
            #[allow(unreachable_code)]
            if false {
                break #label (loop {});
            }
            // SAFETY: the `break` above compiles only directly in the body.
            unsafe { #yielder.put(#wrapped) }.await
        })
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
        // A `match` keeps the temporaries of the head alive for the whole loop,
        // as `for` does.
        parse_quote_spanned!(span=> #(#attrs)* {
            match #expr {
                stream => {
                    let mut stream = ::core::pin::pin!(stream);
                    #label loop {
                        let #pattern = match #crate_path::__private::next(stream.as_mut()).await {
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
        walk(self);
        self.nested_in = outer;
    }
}

impl VisitMut for Body {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Yield(inner) => match self.nested_in {
                None => *expression = self.expand_yield(inner),
                Some(place) => self.refuse_yield(inner, place),
            },
            Expr::Return(inner) if self.returns_result() => {
                visit_mut::visit_expr_return_mut(self, inner);
                Self::expand_return(inner);
            }
            Expr::ForLoop(inner) => *expression = self.expand_for_await(inner),
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

    fn visit_item_mut(&mut self, item: &mut Item) {
        self.nested("an item nested in the body", |this| {
            visit_mut::visit_item_mut(this, item);
        });
    }

    fn visit_macro_mut(&mut self, invocation: &mut Macro) {
        let is_own = invocation
            .path
            .segments
            .last()
            .is_some_and(|name| tokens::is_own_macro(&name.ident));
        let is_definition = invocation.path.is_ident("macro_rules");
        if !is_own && !is_definition {
            let arguments = std::mem::take(&mut invocation.tokens);
            invocation.tokens = tokens::rewrite(self, parse::mark_for_await(arguments));
        }
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
