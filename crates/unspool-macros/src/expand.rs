//! Turns a body into the async block that a generator runs.

mod exits;
mod needs;
mod statements;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprForLoop, ExprYield, Item, Lifetime, Macro, Stmt, Type, parse_quote_spanned};

use self::exits::Block;
use self::needs::{Needs, asks};
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
        promise,
        throws,
        mut statements,
        unread,
    } = input;
    if form == Form::Generator {
        statements::end(&mut statements);
    }
    let may_fail = form == Form::TryStream || form == Form::Stream && asks(&mut statements);
    let kind = Kind {
        form,
        may_fail,
        throws,
        needs: Needs::of(&mut statements),
    };
    let mut body = Body::new(crate_path, &kind);
    if let (Some(throws), true) = (&kind.throws, form != Form::Generator) {
        body.refuse(throws.span(), "`throws` belongs to `generator!`".to_owned());
    }
    for statement in &mut statements {
        body.visit_stmt_mut(statement);
    }

    let span = Span::mixed_site();
    let refused =
        (std::mem::take(&mut body.errors).into_iter()).map(|error| error.to_compile_error());
    let refused: TokenStream = refused.collect();
    if !refused.is_empty() {
        return quote_spanned!(span=> { #refused });
    }
    let generator = kind.construct(&body, &statements, &promise);
    match unread.map(|error| error.to_compile_error()) {
        // For an editor, which shows the types and names of what there is.
        Some(unread) => quote_spanned!(span=> { #unread #generator }),
        None => generator,
    }
}

/// What kind of generator a body becomes.
struct Kind {
    form: Form,
    /// Whether its output is a result whose error is the last item.
    may_fail: bool,
    throws: Option<Type>,
    needs: Needs,
}

impl Kind {
    /// Whether values go into the body, or it has something to do when closed.
    fn has_port(&self) -> bool {
        self.form == Form::Generator
            && (self.throws.is_some() || self.needs.value || self.has_guard())
    }

    /// Whether the body has something to do when closed.
    fn has_guard(&self) -> bool {
        self.form == Form::Generator && (self.needs.finally || self.needs.delegates)
    }

    /// The call of the constructor.
    fn construct(&self, body: &Body, statements: &[Stmt], promise: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        let (crate_path, yielder, label) = (&body.crate_path, yielder(span), label(span));
        let definitions = body
            .definitions
            .iter()
            .map(|definition| definition.named(None));
        let types = self.types(body);
        let block = quote_spanned!(span=> #label: { #(#definitions)* #(#statements)* });
        let output = if self.may_fail {
            quote_spanned!(span=>
                let () = #block;
                #[allow(unreachable_code)]
                ::core::result::Result::Ok(())
            )
        } else {
            block
        };
        let constructor = self.constructor();
        // The yielder's name and the label are hygienic; each use of the yielder is guarded
        // by a `break` to the label, and is whole. So the promise is kept, whose `unsafe` is
        // beside the body and not around it, where it would extend to the user's code.
        quote_spanned!(span=>
            #crate_path::__private::#constructor(
                move |#yielder| async move {
                    #types
                    #output
                },
                #promise,
            )
        )
    }

    fn constructor(&self) -> Ident {
        let name = match self.form {
            Form::Generator if self.throws.is_some() => "duplex_throws",
            Form::Generator if self.has_port() => "duplex",
            Form::Generator => "generator",
            _ if self.may_fail => "try_stream",
            _ => "stream",
        };
        Ident::new(name, Span::mixed_site())
    }

    /// Says what nothing else in the body says about the type of its yielder.
    fn types(&self, body: &Body) -> TokenStream {
        let span = Span::mixed_site();
        let (crate_path, yielder) = (&body.crate_path, yielder(span));
        let private = quote_spanned!(span=> #crate_path::__private);
        let mut types = TokenStream::new();
        if self.has_port() {
            let mode = match &self.throws {
                Some(throws) => quote_spanned!(span=> Throws<_, #throws>),
                None if self.needs.value => quote_spanned!(span=> Sends<_>),
                None => quote_spanned!(span=> Sends<()>),
            };
            let extra = if self.needs.delegates {
                quote_spanned!(span=> #private::Links<_, _, _>)
            } else if self.needs.finally {
                quote_spanned!(span=> #private::Guarded)
            } else {
                quote_spanned!(span=> ())
            };
            types.extend(quote_spanned!(span=>
                let _: &#private::Yielder<_, #private::Port<#private::#mode, #extra>> = &#yielder;
            ));
        }
        if !body.yields {
            let item = match self.form {
                Form::TryStream => quote_spanned!(span=> ::core::result::Result<(), _>),
                Form::Stream | Form::Generator => quote_spanned!(span=> ()),
            };
            types.extend(quote_spanned!(span=> let _: &#private::Yielder<#item, _> = &#yielder;));
        }
        types
    }
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

/// A macro that stands for a use of the yielder among the arguments of another macro,
/// which sees no more of it than its name.
struct Definition {
    name: Ident,
    pattern: TokenStream,
    expansion: TokenStream,
}

impl Definition {
    /// As Rust; with `name` in the place of its own if another macro gives that.
    fn named(&self, name: Option<TokenStream>) -> TokenStream {
        let Definition {
            name: own,
            pattern,
            expansion,
        } = self;
        let name = name.unwrap_or_else(|| own.to_token_stream());
        quote_spanned!(own.span()=>
            #[allow(unused_macros)]
            macro_rules! #name {
                (#pattern) => { #expansion };
            }
        )
    }
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
    /// How many names there are so far that differ in nothing but a number.
    numbers: usize,
    /// The loops, labelled blocks, `try` and `finally` around what is visited.
    blocks: Vec<Block>,
    /// Whether what is visited is an argument of another macro.
    is_in_macro: bool,
    /// The macros that stand for uses of the yielder there.
    definitions: Vec<Definition>,
    nested_in: Option<&'static str>,
    errors: Vec<syn::Error>,
}

impl Body {
    fn new(crate_path: TokenStream, kind: &Kind) -> Self {
        Body {
            crate_path,
            form: kind.form,
            may_fail: kind.may_fail,
            has_port: kind.has_port(),
            has_guard: kind.has_guard(),
            yields: false,
            numbers: 0,
            blocks: Vec::new(),
            is_in_macro: false,
            definitions: Vec::new(),
            nested_in: None,
            errors: Vec::new(),
        }
    }

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
            Some(&quote_spanned!(span=> ::core::pin::Pin::as_mut(&mut __unspool_inner))),
            |call| quote_spanned!(span=> #call.await),
            span,
        );
        let exit_closing = self.exit_closing(span);
        parse_quote_spanned!(span=> {
            let mut __unspool_inner = ::core::pin::pin!(#inner);
            match #wait {
                ::core::option::Option::Some(__unspool_value) => __unspool_value,
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
        let bound = Ident::new("__unspool_item", item_span);
        let wrapped = match self.form {
            Form::TryStream => quote_spanned!(item_span=> ::core::result::Result::Ok(#bound)),
            Form::Stream | Form::Generator => bound.to_token_stream(),
        };
        let received = self.has_port.then(|| {
            let name = if self.has_guard {
                "received_or_close"
            } else {
                "received"
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
        let value = if self.has_guard {
            let close = self.exit_closing(span);
            quote_spanned!(span=>
                match #handed_over {
                    ::core::option::Option::Some(__unspool_value) => __unspool_value,
                    ::core::option::Option::None => #close,
                }
            )
        } else {
            handed_over
        };
        // The temporaries of the item are gone before the body is suspended, so that
        // they need not be `Send`.
        parse_quote_spanned!(span=> #(#attributes)* {
            let #bound = #item;
            #value
        })
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
        if !self.is_in_macro {
            return Self::guarded(&whole(self.call(name, argument, span)), span);
        }
        let parameter = argument.map(|_| quote_spanned!(span=> $argument));
        let expansion = Self::guarded(&whole(self.call(name, parameter.as_ref(), span)), span);
        let name = format_ident!("__{name}_{}", self.number(), span = span);
        self.definitions.push(Definition {
            name: name.clone(),
            pattern: parameter.map_or_else(
                TokenStream::new,
                |parameter| quote_spanned!(span=> #parameter:expr),
            ),
            expansion,
        });
        quote_spanned!(span=> #name!(#argument))
    }

    /// What compiles only directly in the body, or directly in a block of its `try …
    /// finally`, because of the `break`.
    fn guarded(whole: &TokenStream, span: Span) -> TokenStream {
        let label = label(span);
        quote_spanned!(span=> {
            #[allow(unreachable_code)]
            if false {
                break #label (loop {});
            }
            #whole
        })
    }

    /// A number that no name has yet.
    fn number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers - 1
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
        let next = quote_spanned!(span=> #crate_path::__private::next(::core::pin::Pin::as_mut(&mut __unspool_stream)));
        // A `match` keeps the temporaries of the head alive for the whole loop,
        // as `for` does.
        parse_quote_spanned!(span=> #(#attrs)* {
            match #expr {
                __unspool_stream => {
                    let mut __unspool_stream = ::core::pin::pin!(__unspool_stream);
                    #label loop {
                        let #pattern = match #next.await {
                            ::core::option::Option::Some(__unspool_item) => __unspool_item,
                            ::core::option::Option::None => break,
                        };
                        #body
                    }
                }
            }
        })
    }

    /// A `try` in the wrong place, or without a `finally`.
    pub(crate) fn refuse_try(&mut self, span: Span) {
        let message = if self.is_nested() || self.form != Form::Generator {
            "`try … finally` must stand directly in the body of `generator!`"
        } else {
            "`try` needs a `finally`: `try { … } finally { … }`"
        };
        self.refuse(span, message.to_owned());
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
        while let Expr::Paren(outer) = expression {
            if !matches!(*outer.expr, Expr::Yield(_) | Expr::Paren(_)) {
                break;
            }
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
            Expr::TryBlock(inner) => self.refuse_try(inner.try_token.span),
            Expr::Match(inner) => {
                let span = inner.match_token.span;
                match parse::try_finally(inner) {
                    None => visit_mut::visit_expr_match_mut(self, inner),
                    Some(_) if self.is_nested() || self.form != Form::Generator => {
                        self.refuse_try(span);
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
            Expr::Return(_) | Expr::Break(_) | Expr::Continue(_) | Expr::Try(_) => {
                self.visit_exit(expression)
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
        if !passes_by(invocation) {
            let arguments = std::mem::take(&mut invocation.tokens);
            let was_in_macro = std::mem::replace(&mut self.is_in_macro, true);
            self.blocks.push(Block::Arguments);
            invocation.tokens = tokens::rewrite(self, parse::mark(arguments));
            self.blocks.pop();
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
