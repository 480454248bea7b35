//! The body's constructs in the arguments of other macros (`select!` and the
//! like), which syn cannot parse as a whole.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::visit_mut::VisitMut;
use syn::{Expr, ExprClosure, ExprForLoop, ExprMatch, ExprYield, Result};

use crate::expand::Body;
use crate::parse::{is_block, is_word, pop_if, regroup, stack};

/// Rewrites `yield`, plain `return` and what is marked among `tokens`.
pub(crate) fn rewrite(body: &mut Body, tokens: TokenStream) -> TokenStream {
    let mut rewritten = TokenStream::new();
    let mut rest = stack(tokens);
    let mut is_operand = false;
    while let Some(token) = rest.pop() {
        let is_after_operand = std::mem::replace(&mut is_operand, ends_operand(&token));
        match &token {
            TokenTree::Punct(mark) if mark.as_char() == '|' => {
                rewrite_bar(body, token, is_after_operand, &mut rest, &mut rewritten);
            }
            TokenTree::Ident(word) if word == "fn" => {
                rewritten.extend([token]);
                nested_function(body, &mut rest, &mut rewritten);
            }
            TokenTree::Ident(word) if word == "try" && rest.last().is_some_and(is_block) => {
                body.refuse_try(word.span());
                rewritten.extend(rest.pop());
            }
            TokenTree::Ident(word) if word == "yield" && !body.is_nested() => {
                expression::<ExprYield>(body, token, &mut rest, &mut rewritten, Expr::Yield);
            }
            TokenTree::Ident(word) if word == "for" && is_word(rest.last(), "__for_await") => {
                expression::<ExprForLoop>(body, token, &mut rest, &mut rewritten, Expr::ForLoop);
            }
            TokenTree::Ident(word) if word == "match" && is_word(rest.last(), "__try_finally") => {
                expression::<ExprMatch>(body, token, &mut rest, &mut rewritten, Expr::Match);
            }
            TokenTree::Ident(word) if word == "return" && body.returns_result() => {
                let span = word.span();
                rewritten.extend([token]);
                if ends_statement(rest.last()) {
                    rewritten.extend(quote_spanned!(span=> ::core::result::Result::Ok(())));
                }
            }
            TokenTree::Ident(word) if is_exit(word) && body.is_in_region() => {
                body.refuse_exit_in_macro(word.span());
            }
            TokenTree::Punct(mark) if mark.as_char() == '?' && body.is_in_region() => {
                body.refuse_exit_in_macro(mark.span());
            }
            TokenTree::Ident(word) if word == "async" => {
                rewritten.extend([token]);
                async_block(body, &mut rest, &mut rewritten);
            }
            TokenTree::Ident(word) if is_own_macro(word) && is_bang(rest.last()) => {
                rewritten.extend([token]);
                rewritten.extend(rest.pop());
                rewritten.extend(rest.pop());
            }
            TokenTree::Group(group) => {
                let inner = rewrite(body, group.stream());
                rewritten.extend([regroup(group, inner)]);
            }
            _ => rewritten.extend([token]),
        }
    }
    rewritten
}

/// Whether `first second` is among `tokens`.
pub(crate) fn has_words(tokens: TokenStream, first: &str, second: &str) -> bool {
    let mut is_after = false;
    tokens.into_iter().any(|token| {
        let was_after = is_after;
        is_after = is_word(Some(&token), first) || was_after && is_block(&token);
        match token {
            TokenTree::Ident(word) => was_after && word == second,
            TokenTree::Group(group) => has_words(group.stream(), first, second),
            _ => false,
        }
    })
}

/// Whether what a `yield` among `tokens` gives may be used. The last one of a block or
/// of an arm stands for it: what becomes of it, only the macro knows, unless that
/// `is_statement`.
pub(crate) fn uses_value(tokens: TokenStream, is_statement: bool) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    (0..tokens.len()).any(|index| match &tokens[index] {
        TokenTree::Ident(word) if word == "yield" => {
            let is_at_begin = match tokens[..index].last() {
                None => true,
                Some(TokenTree::Punct(mark)) => matches!(mark.as_char(), ';' | '>'),
                Some(token) => is_block(token),
            };
            let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';');
            let is_dropped = is_statement || tokens[index..].iter().any(is_end);
            !(is_at_begin && is_dropped)
        }
        TokenTree::Group(group) => uses_value(group.stream(), is_statement),
        _ => false,
    })
}

/// Whether this word may leave a block.
fn is_exit(word: &Ident) -> bool {
    word == "return" || word == "break" || word == "continue"
}

/// Whether this names a macro whose argument is a body of its own.
pub(crate) fn is_own_macro(name: &Ident) -> bool {
    name == "stream" || name == "try_stream" || name == "generator"
}

/// Parses an expression from `first` on, rewrites it, and goes on after it.
fn expression<T: Parse>(
    body: &mut Body,
    first: TokenTree,
    rest: &mut Vec<TokenTree>,
    rewritten: &mut TokenStream,
    wrap: fn(T) -> Expr,
) {
    let tokens = std::iter::once(first).chain(rest.drain(..).rev()).collect();
    match syn::parse2::<Front<T>>(tokens) {
        Ok(Front(front, after)) => {
            let mut front = wrap(front);
            body.visit_expr_mut(&mut front);
            front.to_tokens(rewritten);
            rest.extend(after);
            rest.reverse();
        }
        Err(error) => rewritten.extend(error.to_compile_error()),
    }
}

/// What parses at the front, and the tokens after it.
struct Front<T>(T, TokenStream);

impl<T: Parse> Parse for Front<T> {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Ok(Front(input.parse()?, input.parse()?))
    }
}

/// The block after `async` or `async move`, where nothing belongs to the body.
fn async_block(body: &mut Body, rest: &mut Vec<TokenTree>, rewritten: &mut TokenStream) {
    if is_word(rest.last(), "move") {
        rewritten.extend(rest.pop());
    }
    nested_block(body, "an async block", rest, rewritten);
}

/// A function after its `fn`, where nothing belongs to the body. (Of a type there is no
/// block.)
fn nested_function(body: &mut Body, rest: &mut Vec<TokenTree>, rewritten: &mut TokenStream) {
    if !matches!(rest.last(), Some(TokenTree::Ident(_))) {
        return;
    }
    let is_head = |token: &TokenTree| {
        !is_block(token) && !matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';')
    };
    rewritten.extend(std::iter::from_fn(|| pop_if(rest, is_head)));
    nested_block(body, "an item nested in the body", rest, rewritten);
}

/// A block in which nothing belongs to the body, if there is one.
fn nested_block(
    body: &mut Body,
    place: &'static str,
    rest: &mut Vec<TokenTree>,
    rewritten: &mut TokenStream,
) {
    let Some(TokenTree::Group(group)) = pop_if(rest, is_block) else {
        return;
    };
    body.nested(place, |body| {
        match syn::parse2::<syn::Block>(TokenTree::Group(group.clone()).into()) {
            Ok(mut block) => {
                body.visit_block_mut(&mut block);
                block.to_tokens(rewritten);
            }
            Err(_) => rewritten.extend([TokenTree::Group(group)]),
        }
    });
}

/// A `|`: the begin of a closure, where nothing belongs to the body, or an operator.
fn rewrite_bar(
    body: &mut Body,
    bar: TokenTree,
    is_operator: bool,
    rest: &mut Vec<TokenTree>,
    rewritten: &mut TokenStream,
) {
    let is_bar =
        |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == '|');
    if is_operator {
        rewritten.extend([bar]);
        // The second half of `||`.
        rewritten.extend(pop_if(rest, is_bar));
        return;
    }
    let tokens = std::iter::once(bar.clone()).chain(rest.iter().rev().cloned());
    match syn::parse2::<Front<ExprClosure>>(tokens.collect()) {
        Ok(Front(closure, after)) => {
            let mut closure = Expr::Closure(closure);
            body.visit_expr_mut(&mut closure);
            closure.to_tokens(rewritten);
            *rest = stack(after);
        }
        // A pattern that begins with it.
        Err(_) => rewritten.extend([bar]),
    }
}

/// Whether this may be the end of an operand or of a pattern, so that a `|` after it is
/// an operator.
fn ends_operand(token: &TokenTree) -> bool {
    match token {
        TokenTree::Ident(word) => ![
            "move", "async", "static", "return", "break", "in", "else", "match", "if", "while",
            "yield",
        ]
        .iter()
        .any(|keyword| word == keyword),
        TokenTree::Punct(mark) => mark.as_char() == '?',
        TokenTree::Group(_) | TokenTree::Literal(_) => true,
    }
}

fn is_bang(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(bang)) if bang.as_char() == '!')
}

fn ends_statement(token: Option<&TokenTree>) -> bool {
    match token {
        None => true,
        Some(TokenTree::Punct(end)) => matches!(end.as_char(), ';' | ','),
        Some(_) => false,
    }
}
